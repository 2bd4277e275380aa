package messagetemplate

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var schema = crm.Schema{Attributes: []crm.Attribute{{Name: "first_name", Type: crm.String}}}

var tenant = store.Tenant{DisplayName: "Velo", PublicURL: "https://crm.velo.example", Locales: []string{"es", "en"}}

func template(content ...v1alpha1.LocalizedContent) *v1alpha1.MessageTemplate {
	return &v1alpha1.MessageTemplate{Spec: v1alpha1.MessageTemplateSpec{DefaultLocale: "es", Content: content}}
}

func fromFile(key string) *v1alpha1.ContentSource {
	return &v1alpha1.ContentSource{ConfigMapKeyRef: v1alpha1.ConfigMapKeyReference{Name: "texts", Key: key}}
}

func TestWhoMendsABrokenTemplate(t *testing.T) {
	broken := files{fromFile("es.html").ConfigMapKeyRef: "<p>\n{% if %}"}
	tests := map[string]struct {
		reason  string
		object  *v1alpha1.MessageTemplate
		stalled bool
		parts   []string
	}{
		"in the object": {
			"its author edits it", template(v1alpha1.LocalizedContent{Locale: "es", Subject: "{{ contact.first_name", HTML: "h"}), true, []string{"es subject", "line 1"},
		},
		"in a ConfigMap": {
			"the file is mended, and the object is not edited", template(v1alpha1.LocalizedContent{Locale: "es", Subject: "s", HTMLFrom: fromFile("es.html")}),
			false,
			[]string{`ConfigMap "texts", key "es.html", line 2`},
		},
		"in both": {
			"an edit is needed too", template(v1alpha1.LocalizedContent{Locale: "es", Subject: "{{ contact.nobody }}{{", HTMLFrom: fromFile("es.html")}),
			true,
			[]string{"es subject", `"es.html"`},
		},
		"unknown attribute": {
			"the nearest name is told", template(v1alpha1.LocalizedContent{Locale: "es", Subject: "{{ contact.frist_name }}", HTML: "h"}),
			true,
			[]string{`did you mean "contact.first_name"`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := planTemplate(tc.object, broken, schema, tenant)
			var stalled *reconciling.Stalled
			var waiting *reconciling.Waiting
			if errors.As(err, &stalled) != tc.stalled || errors.As(err, &waiting) == tc.stalled {
				t.Fatalf("got %v, want stalled = %v (%s)", err, tc.stalled, tc.reason)
			}
			for _, part := range tc.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the message lacks %q: %v", part, err)
				}
			}
		})
	}
}

func TestDigestFollowsTheContentAlone(t *testing.T) {
	plan := func(change func(*v1alpha1.MessageTemplate)) string {
		t.Helper()
		object := template(v1alpha1.LocalizedContent{Locale: "es", Subject: "s", HTML: "{{ contact.first_name }}"})
		change(object)
		planned, err := planTemplate(object, nil, schema, tenant)
		if err != nil {
			t.Fatal(err)
		}
		return planned.row.Digest
	}
	original := plan(func(*v1alpha1.MessageTemplate) {})
	got := map[string]bool{
		"suspended": plan(func(o *v1alpha1.MessageTemplate) { o.Spec.Suspend = true }) == original,
		"another":   plan(func(o *v1alpha1.MessageTemplate) { o.Spec.Content[0].Subject = "t" }) == original,
	}
	if diff := cmp.Diff(map[string]bool{"suspended": true, "another": false}, got); diff != "" {
		t.Errorf("same digest: -want +got:\n%s", diff)
	}
}

func TestWhatReadersStumbleOver(t *testing.T) {
	texts := files{fromFile("es.html").ConfigMapKeyRef: "<p>\n<img src='https://velo.example/a.png'>"}
	planned, err := planTemplate(template(v1alpha1.LocalizedContent{Locale: "es", Subject: "s", HTMLFrom: fromFile("es.html")}), texts, schema, tenant)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range planned.findings {
		got = append(got, string(f.Reason)+" "+f.Locale)
	}
	want := []string{"LocaleMissing en", "UnsubscribeMissing es", "ImageWithoutText es", "TextFromHTML es"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	spec := template(v1alpha1.LocalizedContent{Locale: "es", HTMLFrom: fromFile("es.html")}).Spec
	if told := place(spec, planned.findings[2]); !strings.HasPrefix(told, `ConfigMap "texts", key "es.html", line 2, column 1: `) {
		t.Errorf("the author is told %q", told)
	}
	if told := place(spec, render.Finding{Error: render.Error{Locale: "en", Message: "m"}}); told != "en: m" {
		t.Errorf("the author is told %q", told)
	}
}
