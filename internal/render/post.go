package render

import "slices"

// isPost tells whether a content is for social networks: it has neither subject nor HTML.
func (c *content) isPost() bool { return c.html == nil && c.subject.lines.source == "" }

// WithoutSubject lists the locales whose content has no subject, so that it cannot be mailed.
func (t *Template) WithoutSubject() []string {
	var out []string
	for _, c := range t.inOrder() {
		if c.subject.lines.source == "" {
			out = append(out, c.locale)
		}
	}
	return out
}

// Text renders the text of a locale, as it is published on a network. ok is false where neither the locale nor its language has content of
// its own: nobody is published at in another language.
func (t *Template) Text(locale string, vars Vars) (text string, ok bool, err error) {
	if !t.speaks(locale) {
		return "", false, nil
	}
	rendered, err := t.Render(locale, vars)
	return rendered.Text, true, err
}

// TextVariables lists the variables that the texts read, as Variables does.
func (t *Template) TextVariables() []string {
	own := map[string]bool{} // locales whose text is not made from the HTML
	for _, c := range t.contents {
		own[c.locale] = c.text != nil && c.text.mode == plain
	}
	var names []string
	for _, u := range t.uses {
		if u.part == PartText || u.part == PartHTML && !own[u.locale] {
			names = append(names, u.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
