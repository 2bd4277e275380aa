package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
)

// SentimentModel is what was learned from the corrections of a language.
type SentimentModel struct {
	Language       string
	Model          []byte // nil: the lexicon is not beaten
	TrainedAt      time.Time
	LastCorrection int64
	learned.Trial
}

// SentimentLesson is what a model is learned from.
type SentimentLesson struct {
	Language       string
	Corrections    []learned.Correction // the oldest first
	LastCorrection int64
	Others         []string // what nobody corrected, of the newest mentions
}

const (
	// freshCorrections is after how many new corrections of a language it is learned anew; after a day it is in any case, so that nothing stays
	// learned for long of what was forgotten.
	freshCorrections = 50
	// longestLesson is how many characters of a mention are learned from.
	longestLesson = 4000
	// searchedOthers is among how many of the newest mentions those are looked for that nobody corrected.
	searchedOthers = 20000
)

// spokenOn are the last corrections that hold still: of mentions that are there, and were not judged anew since, as they are when their text
// is changed.
const spokenOn = `
	select m.id, m.key, m.title, m.text, m.label, m.language, max(c.id) as correction
	from mention_correction c join mention m on m.id = c.mention_id
	where m.engine = '` + ByPerson + `' and m.forgotten_at is null and m.language <> '' group by m.id`

// WithSentimentLock runs f while nobody else learns from the tenant's corrections, and tells whether it ran. See WithSendLock.
func (db *DB) WithSentimentLock(ctx context.Context, beat time.Duration, f func(context.Context) error) (ran bool, err error) {
	return db.withLock(ctx, "sentiment-model", beat, f)
}

// SentimentToLearn are the languages in which enough was corrected since it was last learned, or a day has passed.
func (db *DB) SentimentToLearn(ctx context.Context) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `
		with spoken as (`+spokenOn+`), found as (
			select s.language, count(*) as corrections, count(*) filter (where s.correction > coalesce(k.last_correction, 0)) as fresh
			from spoken s left join sentiment_model k on k.language = s.language group by s.language)
		select coalesce(f.language, k.language) from found f full join sentiment_model k on k.language = f.language
		where k.language is null and f.corrections >= $1 or f.fresh >= $2 and k.language is not null or k.trained_at < now() - interval '1 day'
		order by 1 limit 100`, learned.Least, freshCorrections)
	if err != nil {
		return nil, fmt.Errorf("look whether there is something to learn from corrections: %w", err)
	}
	languages, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look whether there is something to learn from corrections: %w", err)
	}
	return languages, nil
}

// SentimentLesson reads what was corrected in a language.
func (db *DB) SentimentLesson(ctx context.Context, language string) (SentimentLesson, error) {
	lesson := SentimentLesson{Language: language}
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			with spoken as (`+spokenOn+`)
			select key, `+lessonText+`, label, correction from spoken where language = $1 order by correction desc limit $3`,
			language, longestLesson, learned.Most)
		if err != nil {
			return err
		}
		var c learned.Correction
		var label string
		var id int64
		_, err = pgx.ForEachRow(rows, []any{&c.Key, &c.Text, &label, &id}, func() error {
			lesson.LastCorrection = max(lesson.LastCorrection, id)
			lesson.Corrections = append(lesson.Corrections, learned.Correction{Key: slices.Clone(c.Key), Text: c.Text, Label: sentiment.Label(label)})
			return nil
		})
		if err != nil {
			return err
		}
		slices.Reverse(lesson.Corrections)
		rows, err = tx.Query(ctx, `
			select `+lessonText+` from (select * from mention order by created_at desc, id desc limit $4) m
			where language = $1 and engine <> '`+ByPerson+`' and forgotten_at is null order by created_at desc, id desc limit $3`,
			language, longestLesson, learned.MostOthers, searchedOthers)
		if err != nil {
			return err
		}
		lesson.Others, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return SentimentLesson{}, fmt.Errorf("read what was corrected: %w", err)
	}
	return lesson, nil
}

// lessonText is a mention as it is judged: its title and its text.
const lessonText = `left(case when title = '' then text when text = '' then title else title || E'\n\n' || text end, $2)`

// SaveSentimentModel keeps what was learned in a language in the place of what was learned before. Of a language without corrections nothing is
// kept.
func (db *DB) SaveSentimentModel(ctx context.Context, m SentimentModel) error {
	var err error
	if m.Corrections == 0 {
		_, err = db.Pool.Exec(ctx, "delete from sentiment_model where language = $1", m.Language)
	} else {
		_, err = db.Pool.Exec(ctx, `
			insert into sentiment_model (language, model, corrections, held_back, last_correction, f1_model, f1_lexicon, p, in_use, refused)
			values ($1, $2::bytea, $3, $4, $5, $6, $7, $8, $2::bytea is not null, $9)
			on conflict (language) do update set model = excluded.model, trained_at = now(), corrections = excluded.corrections,
				held_back = excluded.held_back, last_correction = excluded.last_correction, f1_model = excluded.f1_model,
				f1_lexicon = excluded.f1_lexicon, p = excluded.p, in_use = excluded.in_use, refused = excluded.refused`,
			m.Language, m.Model, m.Corrections, m.HeldBack, m.LastCorrection, m.F1Model, m.F1Lexicon, m.P, m.Refused)
	}
	if err != nil {
		return fmt.Errorf("keep what was learned from corrections: %w", err)
	}
	return nil
}

// SentimentModels are what was learned, by language, without the models themselves.
func (db *DB) SentimentModels(ctx context.Context) ([]SentimentModel, error) {
	rows, err := db.Pool.Query(ctx, `
		select language, trained_at, corrections, held_back, last_correction, f1_model, f1_lexicon, p, refused from sentiment_model order by language`)
	if err != nil {
		return nil, fmt.Errorf("read what was learned from corrections: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m SentimentModel, err error) {
		err = row.Scan(&m.Language, &m.TrainedAt, &m.Corrections, &m.HeldBack, &m.LastCorrection, &m.F1Model, &m.F1Lexicon, &m.P, &m.Refused)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what was learned from corrections: %w", err)
	}
	return list, nil
}

// SentimentModelVersion changes whenever other models are in use.
func (db *DB) SentimentModelVersion(ctx context.Context) (version string, err error) {
	err = db.Pool.QueryRow(ctx, `
		select coalesce(string_agg(language || ' ' || extract(epoch from trained_at), ',' order by language), '') from sentiment_model where in_use`).
		Scan(&version)
	if err != nil {
		return "", fmt.Errorf("ask which models are in use: %w", err)
	}
	return version, nil
}

// SentimentModelsInUse are the models in use, by language.
func (db *DB) SentimentModelsInUse(ctx context.Context) (map[string][]byte, error) {
	rows, err := db.Pool.Query(ctx, "select language, model from sentiment_model where in_use")
	if err != nil {
		return nil, fmt.Errorf("read the models in use: %w", err)
	}
	models := map[string][]byte{}
	var language string
	var model []byte
	_, err = pgx.ForEachRow(rows, []any{&language, &model}, func() error {
		models[language] = slices.Clone(model)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the models in use: %w", err)
	}
	return models, nil
}
