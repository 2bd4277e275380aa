package work_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// TestPostsAreJudgedByWhatPeopleCorrected: a worker learns how the tenant's people talk, judges by it, and stops when corrections do not bear it out.
func TestPostsAreJudgedByWhatPeopleCorrected(t *testing.T) {
	h, s := newHouse(t, 0), newSquare(t)
	h.listens(s, nil)
	o := h.options()
	o.SentimentPoll, o.MeasurePoll, o.Metrics = 20*time.Millisecond, 20*time.Millisecond, work.NewMetrics()
	h.worker(o)
	told := func(used float64, outcome string) {
		t.Helper()
		h.eventually("the trial should be told as "+outcome, func() bool {
			m := gathered(t, o.Metrics)
			inUse, there := m["tertulia_sentiment_model_in_use es "+tenantID]
			f1 := m["tertulia_sentiment_f1_ratio learned es "+tenantID]
			return there && inUse == used && (f1 > 0.5) == (used == 1) && m["tertulia_sentiment_trials_total es "+outcome+" "+tenantID] > 0
		})
	}
	const slang = "Mi tabla salió rana"
	judgedBy := func(engine string, label sentiment.Label) {
		t.Helper()
		h.eventually(fmt.Sprintf("a new post should be %s by %s", label, engine), func() bool {
			// Most of what is said is judged as before, or the model would not be used.
			for _, text := range []string{"Me encanta el parque", "Abren a las nueve", slang} {
				s.post(listen.Post{Text: text, Language: "es"})
			}
			var got string
			err := h.db.Pool.QueryRow(t.Context(), `select coalesce((select engine || ' ' || label from mention where engine <> 'person' and text = $1 order by id desc limit 1), '')`, slang).Scan(&got)
			return err == nil && got == engine+" "+string(label)
		})
	}
	judgedBy(sentiment.LexiconName, sentiment.Neutral)
	h.exec(`
		with said as (select * from (values (0, 'negative', 'salió rana'), (1, 'positive', 'va que mata'), (2, 'neutral', 'llega el lunes')) v (i, label, text)),
		new as (
			insert into mention (key, network, native_id, source_id, kind, visibility, created_at, text, language, label, polarity, confidence, engine)
			select decode(md5('said' || n), 'hex'), 'test', 'said' || n, 1, 'Post', 'Public', now(), (array['La tabla', 'El eje', 'La rueda'])[n % 7 % 3 + 1] || ' ' || s.text || ' ' || translate(n::text, '0123456789', 'bcdfghjklm'),
				'es', s.label, 0, 1, 'person'
			from generate_series(1, 300) n join said s on s.i = n % 3 returning id, label)
		insert into mention_correction (mention_id, label, was, was_engine, token, decided_by) select id, label, 'neutral', 'lexicon', 'agents', 'ana' from new`)
	judgedBy(learned.Name, sentiment.Negative)
	told(1, "used")
	// It is learned anew each day, without what is gone.
	h.exec("delete from mention_correction where id % 2 = 0")
	h.exec("update sentiment_model set trained_at = now() - interval '2 days'")
	judgedBy(sentiment.LexiconName, sentiment.Neutral)
	told(0, "refused")
}
