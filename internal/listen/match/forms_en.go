package match

import "strings"

// appendEnglishPlural: bike, bikes; box, boxes; city, cities. The genitive (Velo's) is read by the reader of words.
func appendEnglishPlural(forms []string, word string) []string {
	switch {
	case endsIn(word, "s", "x", "z", "ch", "sh"):
		return append(forms, word+"es")
	case endsIn(word, "y") && !endsIn(word, "ay", "ey", "oy", "uy"):
		return append(forms, replaceEnd(word, "y", "ies"))
	case endsIn(word, "o"):
		return append(forms, word+"s", word+"es")
	}
	return append(forms, word+"s")
}

// Verbs that people use of brands and that are not regular: the past and the participle.
var englishIrregular = func() map[string][]string {
	table := map[string][]string{}
	for _, line := range strings.Split(`be was were been being am is are|begin began begun|break broke broken|bring brought|build built|buy bought|
catch caught|choose chose chosen|come came|do did done does|drive drove driven|eat ate eaten|fall fell fallen|feel felt|find found|
fly flew flown|forget forgot forgotten|get got gotten|give gave given|go went gone goes|have had has|hear heard|keep kept|know knew known|
leave left|lose lost|make made|meet met|pay paid|ride rode ridden|rise rose risen|run ran|say said|see saw seen|sell sold|send sent|
shake shook shaken|steal stole stolen|speak spoke spoken|spend spent|take took taken|teach taught|tell told|think thought|try tried|
wear wore worn|win won|write wrote written`, "|") {
		words := strings.Fields(line)
		table[words[0]] = words[1:]
	}
	return table
}()

// appendEnglishVerb: order, orders, ordered, ordering; like, liked, liking; stop, stopped; carry, carried.
func appendEnglishVerb(forms []string, verb string) []string {
	if !strings.ContainsAny(verb, "aeiouy") || len(verb) < 2 {
		return forms
	}
	forms = appendEnglishPlural(forms, verb)
	forms = append(forms, englishIrregular[verb]...)
	switch {
	case endsIn(verb, "ie"):
		return append(forms, verb+"d", replaceEnd(verb, "ie", "ying"))
	case endsIn(verb, "ee", "oe", "ye"):
		return append(forms, verb+"d", verb+"ing")
	case endsIn(verb, "e"):
		return append(forms, verb+"d", replaceEnd(verb, "e", "ing"))
	case endsIn(verb, "y") && !endsIn(verb, "ay", "ey", "oy", "uy"):
		return append(forms, replaceEnd(verb, "y", "ied"), verb+"ing")
	}
	if doubles(verb) {
		last := verb[len(verb)-1:]
		forms = append(forms, verb+last+"ed", verb+last+"ing")
	}
	return append(forms, verb+"ed", verb+"ing")
}

// doubles tells verbs that may double their last consonant: one vowel before it, and not w, x or y.
func doubles(verb string) bool {
	n := len(verb)
	if n < 3 {
		return false
	}
	isVowel := func(i int) bool { return strings.IndexByte("aeiou", verb[i]) >= 0 }
	return !isVowel(n-1) && strings.IndexByte("wxy", verb[n-1]) < 0 && isVowel(n-2) && !isVowel(n-3)
}
