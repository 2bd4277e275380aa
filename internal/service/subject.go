package service

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// prefix is what mail programs put before the subject of a mail that is answered or passed on, perhaps with a count: Re[2]:
var prefix = regexp.MustCompile(`(?i)^\s*(re|aw|sv|vs|antw|res|r|odp|ynt|fwd?|rv|wg|tr|enc|vl|doorst|pd|i)\s?(?:\[\d{1,3}\]|\(\d{1,3}\))?\s?(?::|：)`)

// answering are those of answers; the others pass on.
var answering = map[string]bool{"re": true, "aw": true, "sv": true, "vs": true, "antw": true, "res": true, "r": true, "odp": true, "ynt": true}

// saysNothing are subjects that people write whatever it is about.
var saysNothing = map[string]bool{
	"hola": true, "hello": true, "question": true, "consulta": true, "pregunta": true, "help": true, "ayuda": true, "contact": true, "contacto": true,
	"info": true, "information": true, "información": true, "no subject": true, "(no subject)": true, "sin asunto": true,
	"informacion":  true, //nolint:misspell // Spanish, as many write it
	"(sin asunto)": true, "urgent": true, "urgente": true, "order": true, "pedido": true, "complaint": true, "reclamación": true, "reclamacion": true,
}

// Bounds of subjects.
const (
	maxSubject  = 500 // bytes that are read
	maxPrefixes = 20
	minSubject  = 4 // characters of one that tells anything
)

// Subject is what a mail is about, without what programs put before it and in lower case. reply tells whether it is an answer by its subject; one
// that is passed on is none.
func Subject(text string) (about string, reply bool) {
	if len(text) > maxSubject {
		text = text[:maxSubject]
	}
	text = strings.ToValidUTF8(text, "")
	for i := range maxPrefixes {
		found := prefix.FindStringSubmatch(text)
		if found == nil {
			break
		}
		if i == 0 {
			reply = answering[strings.ToLower(found[1])]
		}
		text = text[len(found[0]):]
	}
	return strings.Join(strings.Fields(strings.ToLower(text)), " "), reply
}

// telling says whether a subject is more than a greeting.
func telling(about string) bool {
	return utf8.RuneCountInString(about) >= minSubject && strings.ContainsFunc(about, unicode.IsLetter) && !saysNothing[about]
}
