package invent

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The files that WriteFiles writes.
const (
	ContactsFile = "contacts.csv"
	EventsFile   = "events.ndjson"
)

// Source is the name under which the shop's ids are known.
const Source = "shop"

// Header names the columns of the contacts file, as `tertulia import contacts` reads them. The addresses are not marked
// as verified: households share them.
var Header = []string{
	"external_id", "email", "first_name", "last_name", "birthday", "city", "country", "plan", "jersey_size",
	"lifetime_value", "tags", "locale", "time_zone", "consent:newsletter",
}

// WriteFiles writes the contacts and the events into a folder.
func (p *Population) WriteFiles(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	if err := writeFile(filepath.Join(dir, ContactsFile), p.WriteContacts); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, EventsFile), p.WriteEvents)
}

// writeFile writes beside the file and renames, so that a file is whole or not there.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	buffered := bufio.NewWriterSize(f, 1<<20)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// WriteContacts writes the contacts as CSV (RFC 4180) with a header.
func (p *Population) WriteContacts(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(Header); err != nil {
		return err
	}
	for i := range p.Contacts {
		c := &p.Contacts[i]
		record := []string{
			c.ExternalID, c.Email, c.FirstName, c.LastName, c.Birthday, c.City, c.Country, c.Plan, c.JerseySize,
			euros(c.SpentCents), strings.Join(c.Tags, "|"), c.Locale, c.TimeZone, c.Newsletter,
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// eventLine is an event as the API takes it.
type eventLine struct {
	ID         string         `json:"id"`
	Source     string         `json:"source"`
	Name       string         `json:"name"`
	OccurredAt time.Time      `json:"occurred_at"`
	Contact    who            `json:"contact"`
	Properties map[string]any `json:"properties,omitempty"`
}

// who says whose event it is, by the source's id of the person.
type who struct {
	ExternalID string `json:"external_id"`
}

// WriteEvents writes the events, one JSON object a line.
func (p *Population) WriteEvents(w io.Writer) error {
	out := json.NewEncoder(w)
	for _, e := range p.Events {
		line := eventLine{
			ID: e.ID, Source: Source, Name: e.Name, OccurredAt: e.At.UTC(), Contact: who{ExternalID: e.Contact}, Properties: e.Properties,
		}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
