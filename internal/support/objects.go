package support

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/mail"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// describeObject is one of our objects without the texts that its author wrote for people to read.
func describeObject(o v1alpha1.Object) map[string]any {
	described := describe(o)
	spec, _ := described["spec"].(map[string]any)
	switch object := o.(type) {
	case *v1alpha1.MessageTemplate:
		spec["content"] = describeContent(object.Spec.Content)
	case *v1alpha1.MessageChannel:
		describeSender(spec, object.Spec.Email)
	case *v1alpha1.SendPolicy:
		described = describeRules(described, object.Spec.Rules)
	case *v1alpha1.ConsentPolicy:
		spec["purposes"] = describePurposes(object.Spec.Purposes)
	case *v1alpha1.Monitor, *v1alpha1.SocialSource:
		accounts := accountsOf(spec)
		maskAccounts(spec)
		if status, ok := described["status"]; ok {
			described["status"] = replaceAll(status, accounts)
		}
	case *v1alpha1.AutomationRule, *v1alpha1.ServiceQueue:
		literals := maskRule(spec)
		if status, ok := described["status"]; ok {
			described["status"] = replaceAll(status, literals)
		}
	case *v1alpha1.Segment:
		match, literals := maskLiterals(object.Spec.Match)
		spec["match"] = match
		if status, ok := described["status"]; ok { // a message repeats what it complains about
			described["status"] = replaceAll(status, literals)
		}
	}
	return described
}

// describe is an object of any kind without what repeats it or belongs to others.
func describe(o client.Object) map[string]any {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return map[string]any{"error": fmt.Sprintf("this object cannot be described: %v", err)}
	}
	content["metadata"] = describeMeta(o)
	return content
}

func describeMeta(o client.Object) map[string]any {
	kept := metav1.ObjectMeta{
		Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), Generation: o.GetGeneration(), CreationTimestamp: o.GetCreationTimestamp(),
		DeletionTimestamp: o.GetDeletionTimestamp(), Finalizers: o.GetFinalizers(), Labels: o.GetLabels(), OwnerReferences: o.GetOwnerReferences(),
	}
	described, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&kept)
	if err != nil {
		return map[string]any{"name": o.GetName(), "namespace": o.GetNamespace()}
	}
	if names := slices.Sorted(maps.Keys(o.GetAnnotations())); len(names) > 0 {
		described["annotationNames"] = names
	}
	var managers []string // who writes the object, which tells fights over fields
	for _, m := range o.GetManagedFields() {
		managers = append(managers, strings.TrimSpace(fmt.Sprintf("%s %s %s", m.Manager, m.Operation, m.Subresource)))
	}
	if len(managers) > 0 {
		described["managers"] = managers
	}
	return described
}

// describeContent tells which text is which, and not what it says.
func describeContent(content []v1alpha1.LocalizedContent) []any {
	described := make([]any, len(content))
	for i, c := range content {
		texts := map[string]any{"locale": string(c.Locale), "subject": digest(c.Subject)}
		for name, text := range map[string]string{"html": c.HTML, "text": c.Text} {
			if text != "" {
				texts[name] = digest(text)
			}
		}
		for name, from := range map[string]*v1alpha1.ContentSource{"htmlFrom": c.HTMLFrom, "textFrom": c.TextFrom} {
			if from != nil {
				texts[name] = map[string]any{"configMap": from.ConfigMapKeyRef.Name, "key": from.ConfigMapKeyRef.Key}
			}
		}
		described[i] = texts
	}
	return described
}

// digest stands for a text. Its first digits are those that a template's status and kubectl show of digests.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("sha256:%s (%d bytes)", hex.EncodeToString(sum[:6]), len(text))
}

// describeSender keeps the brand's domain, on which signatures and bounces depend. The net takes the address.
func describeSender(spec map[string]any, email *v1alpha1.EmailSettings) {
	if email == nil {
		return
	}
	if from, err := mail.ParseAddress(email.From); err == nil {
		spec["fromDomain"] = from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	}
}

// literal is a text within an expression, with the function that it is given to where there is one.
var literal = regexp.MustCompile(`(\b(?:events|within|before|consented|ago|ahead|date|timestamp)\(\s*)?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')`)

// maskLiterals takes from an expression the values that contacts are compared with: one that singles somebody out is
// refused, and stands in its object all the same. Names of events and lengths of time stay.
func maskLiterals(expression string) (masked string, literals []string) {
	masked = literal.ReplaceAllStringFunc(expression, func(found string) string {
		parts := literal.FindStringSubmatch(found)
		if parts[1] != "" {
			return found
		}
		text := parts[2][1 : len(parts[2])-1]
		if text != "" {
			literals = append(literals, text)
		}
		return fmt.Sprintf(`"[%d letters]"`, len([]rune(text)))
	})
	return masked, literals
}

// replaceAll masks texts wherever they stand.
func replaceAll(value any, texts []string) any {
	switch v := value.(type) {
	case string:
		return replaceTexts(v, texts)
	case []any:
		for i := range v {
			v[i] = replaceAll(v[i], texts)
		}
	case map[string]any:
		for key := range v {
			v[key] = replaceAll(v[key], texts)
		}
	}
	return value
}

func replaceTexts(message string, texts []string) string {
	for _, text := range texts {
		message = strings.ReplaceAll(message, `"`+text+`"`, `"[text]"`)
		if len([]rune(text)) > 2 { // shorter ones stand within many words
			message = strings.ReplaceAll(message, text, "[text]")
		}
	}
	return message
}

// describeWorkload is a pod, a Deployment or another owner of containers without the values of their environment.
func describeWorkload(o client.Object) map[string]any {
	described := describe(o)
	withoutValues(described)
	return described
}

// withoutValues removes the value of every environment variable, and annotations of templates.
func withoutValues(value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			withoutValues(item)
		}
	case map[string]any:
		delete(v, "annotations")
		if variables, ok := v["env"].([]any); ok {
			for _, variable := range variables {
				if named, ok := variable.(map[string]any); ok && named["value"] != nil {
					named["value"] = "[not shown]"
				}
			}
		}
		for _, item := range v {
			withoutValues(item)
		}
	}
}

// describeSecret names what is in a Secret.
func describeSecret(s *corev1.Secret) map[string]any {
	return map[string]any{
		"name": s.Name, "type": string(s.Type), "labels": s.Labels, "created": s.CreationTimestamp, "keys": slices.Sorted(maps.Keys(s.Data)),
	}
}

// describeConfigMap names what is in a ConfigMap, and how large it is.
func describeConfigMap(c *corev1.ConfigMap) map[string]any {
	sizes := map[string]int{}
	for key, value := range c.Data {
		sizes[key] = len(value)
	}
	for key, value := range c.BinaryData {
		sizes[key] = len(value)
	}
	return map[string]any{"name": c.Name, "labels": c.Labels, "created": c.CreationTimestamp, "bytes": sizes}
}

// describeEvent is an event in a line's worth of fields.
func describeEvent(e *corev1.Event) map[string]any {
	first, last := e.FirstTimestamp, e.LastTimestamp
	if first.IsZero() {
		first = metav1.NewTime(e.EventTime.Time)
	}
	if last.IsZero() {
		last = first
	}
	count := max(1, e.Count)
	if e.Series != nil {
		count, last = e.Series.Count, metav1.NewTime(e.Series.LastObservedTime.Time)
	}
	return map[string]any{
		"object": e.InvolvedObject.Kind + "/" + e.InvolvedObject.Name, "type": e.Type, "reason": e.Reason, "message": e.Message,
		"from": e.ReportingController, "first": first, "last": last, "count": count,
	}
}
