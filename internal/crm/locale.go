package crm

import (
	"errors"
	"strings"

	"golang.org/x/text/language"
)

// maxLocale is the length that RFC 5646 (4.4.1) asks implementations to support.
const maxLocale = 35

var errLocale = errors.New("is no language tag (BCP 47), such as es or es-MX")

// NormalizeLocale returns a language tag in its canonical form. The error completes the sentence "the locale …".
func NormalizeLocale(text string) (string, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxLocale {
		return "", errLocale
	}
	tag, err := language.Parse(text)
	if err != nil || tag == language.Und {
		return "", errLocale
	}
	return tag.String(), nil
}
