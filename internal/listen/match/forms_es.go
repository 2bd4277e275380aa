package match

import (
	"strings"
	"unicode/utf8"
)

// appendSpanishPlural: casa, casas; camión, camiones; vez, veces; colibrí, colibríes and colibrís. Words on an unstressed
// -s or -x stay: lunes, tórax.
func appendSpanishPlural(forms []string, word string) []string {
	switch {
	case endsIn(word, "z"):
		return append(forms, replaceEnd(word, "z", "ces"))
	case endsIn(word, "í", "ú"):
		return append(forms, word+"es", word+"s")
	case endsIn(word, "a", "e", "i", "o", "u", "á", "é", "ó"):
		return append(forms, word+"s")
	case endsIn(word, "ás", "és", "ís", "ós", "ús", "án", "én", "ín", "ón", "ún"):
		last := word[len(word)-1:]
		vowel, size := utf8.DecodeLastRuneInString(word[:len(word)-1])
		return append(forms, word[:len(word)-1-size]+plain(string(vowel))+last+"es")
	case endsIn(word, "s", "x"):
		return forms
	}
	return append(forms, word+"es")
}

// appendSpanishGender: amigo, amiga; español, española; inglés, inglesa; campeón, campeona; vendedor, vendedora.
func appendSpanishGender(forms []string, word string) []string {
	switch {
	case endsIn(word, "o"):
		return append(forms, replaceEnd(word, "o", "a"))
	case endsIn(word, "és", "ón", "án", "ín"):
		last := word[len(word)-1:]
		vowel, size := utf8.DecodeLastRuneInString(word[:len(word)-1])
		return append(forms, word[:len(word)-1-size]+plain(string(vowel))+last+"a")
	case endsIn(word, "or", "ol"):
		return append(forms, word+"a")
	}
	return forms
}

// The endings of regular verbs. Of the future and the conditional, which keep the infinitive, they are the same for all.
var (
	spanishAR = strings.Fields("o as a amos áis an ás é aste ó asteis aron aba abas ábamos abais aban e es emos éis en " +
		"ara aras áramos arais aran ado ada ados adas ando ad á")
	spanishER = strings.Fields("o es e emos éis en és í iste ió imos isteis ieron ía ías íamos íais ían a as amos áis an " +
		"iera ieras iéramos ierais ieran ido ida idos idas iendo ed é")
	spanishIR = strings.Fields("o es e imos ís en í iste ió isteis ieron ía ías íamos íais ían a as amos áis an " +
		"iera ieras iéramos ierais ieran ido ida idos idas iendo id")
	spanishFuture = strings.Fields("é ás á emos éis án ía ías íamos íais ían")
	spanishObject = strings.Fields("me te se nos os lo la los las le les")
	// Where the stem carries the stress, its vowel may change: pienso, vuelve, pide.
	spanishStressed = map[string]bool{"o": true, "as": true, "a": true, "an": true, "es": true, "e": true, "en": true}
)

// appendSpanishVerb conjugates a regular infinitive, with the changes of spelling (buscar, busque; pagar, pague; cruzar,
// cruce; coger, cojo; conocer, conozco; incluir, incluye) and of the stem's vowel. Irregular verbs (ser, ir, tener) are not
// known: write their forms as words. The stem has to have a vowel and two letters.
func appendSpanishVerb(forms []string, verb string) []string {
	verb = strings.TrimSuffix(verb, "se")
	ending, endings := "", []string(nil)
	switch {
	case endsIn(verb, "ar"):
		ending, endings = "ar", spanishAR
	case endsIn(verb, "er"):
		ending, endings = "er", spanishER
	case endsIn(verb, "ir", "ír"):
		ending, endings = verb[len(verb)-len("ir"):], spanishIR
		if endsIn(verb, "ír") {
			ending = "ír"
		}
	default:
		return forms
	}
	stem := strings.TrimSuffix(verb, ending)
	if utf8.RuneCountInString(stem) < 2 || !strings.ContainsAny(stem, "aeiouáéíóúü") {
		return forms
	}
	for _, e := range endings {
		forms = append(forms, spelled(stem, e, ending))
		if spanishStressed[e] {
			for _, other := range otherStems(stem, ending) {
				forms = append(forms, spelled(other, e, ending))
			}
		}
	}
	infinitive := stem + plain(ending)
	for _, e := range spanishFuture {
		forms = append(forms, infinitive+e)
	}
	for _, e := range spanishObject {
		forms = append(forms, infinitive+e)
	}
	return forms
}

// spelled joins stem and ending so that the stem sounds as in the infinitive.
func spelled(stem, ending, of string) string {
	first, _ := utf8.DecodeRuneInString(ending)
	front := strings.ContainsRune("eéií", first)
	if of == "ar" {
		if front {
			stem = beforeFront(stem)
		}
		return stem + ending
	}
	if strings.HasPrefix(ending, "ie") || strings.HasPrefix(ending, "ió") {
		if endsIn(stem, "a", "e", "o") || hasOwnU(stem) {
			return stem + "y" + ending[1:] // leyó, incluyendo
		}
		return stem + ending
	}
	if !front {
		stem = beforeBack(stem)
	}
	if of == "ir" && hasOwnU(stem) && strings.ContainsRune("oeaá", first) {
		stem += "y"
	}
	return stem + ending
}

// hasOwnU tells a stem on a u that is spoken: incluir, but not seguir.
func hasOwnU(stem string) bool { return endsIn(stem, "u") && !endsIn(stem, "gu", "qu") }

// beforeFront writes a stem of -ar before e: busque, pague, cruce.
func beforeFront(stem string) string {
	switch {
	case endsIn(stem, "c"):
		return replaceEnd(stem, "c", "qu")
	case endsIn(stem, "g"):
		return stem + "u"
	case endsIn(stem, "z"):
		return replaceEnd(stem, "z", "c")
	}
	return stem
}

// beforeBack writes a stem of -er and -ir before a and o: sigo, cojo, conozco.
func beforeBack(stem string) string {
	switch {
	case endsIn(stem, "gu"):
		return replaceEnd(stem, "gu", "g")
	case endsIn(stem, "g"):
		return replaceEnd(stem, "g", "j")
	case endsIn(stem, "ac", "ec", "oc", "uc"):
		return replaceEnd(stem, "c", "zc")
	}
	return stem
}

// otherStems are the stem with its last vowel changed, as many verbs have it under stress. Which ones cannot be seen.
func otherStems(stem, of string) []string {
	i := strings.LastIndexAny(stem, "aeiou")
	if i < 0 {
		return nil
	}
	head, tail := stem[:i], stem[i+1:]
	if i > 0 && strings.ContainsAny(stem[i-1:i], "aeiou") || tail == "" {
		return nil // a diphthong, or nothing after it
	}
	switch stem[i] {
	case 'e':
		if of == "ir" {
			return []string{head + "ie" + tail, head + "i" + tail}
		}
		return []string{head + "ie" + tail}
	case 'o', 'u':
		return []string{head + "ue" + tail}
	}
	return nil
}
