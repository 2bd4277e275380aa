package campaign

// RowState is the state of a recipient in the ledger.
type RowState string

// The states of a row. A row begins as pending or skipped. An intent is committed before anything is handed over; what
// is known afterwards makes it sent, failed, pending again, or, where it cannot be known, ambiguous.
const (
	RowPending   RowState = "pending"
	RowIntent    RowState = "intent"
	RowSent      RowState = "sent"
	RowFailed    RowState = "failed"
	RowAmbiguous RowState = "ambiguous"
	RowSkipped   RowState = "skipped"
)
