package controlplane

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// FieldManager is who we are to the API server when we apply objects.
const FieldManager = "tertulia-up"

const (
	// establishTimeout bounds how long one CustomResourceDefinition may take to be served.
	establishTimeout = 30 * time.Second
	// establishInterval is how often it is asked for.
	establishInterval = 50 * time.Millisecond
)

// InstallCRDs applies every CustomResourceDefinition in the *.yaml files at the root of files, and returns when the API server
// serves all of them.
func InstallCRDs(ctx context.Context, config *rest.Config, files fs.FS) error {
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("install the kinds: %w", err)
	}
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return fmt.Errorf("install the kinds: %w", err)
	}
	var applied []string
	for _, file := range names {
		name, err := applyCRD(ctx, client, files, file)
		if err != nil {
			return fmt.Errorf("install the kind of %s: %w", file, err)
		}
		applied = append(applied, name)
	}
	for _, name := range applied {
		if err := AwaitEstablished(ctx, client, name); err != nil {
			return err
		}
	}
	return nil
}

func applyCRD(ctx context.Context, client clientset.Interface, files fs.FS, file string) (string, error) {
	content, err := fs.ReadFile(files, file)
	if err != nil {
		return "", err
	}
	var meta metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(content, &meta); err != nil {
		return "", err
	}
	force := true
	_, err = client.ApiextensionsV1().CustomResourceDefinitions().Patch(ctx, meta.Name, types.ApplyPatchType, content,
		metav1.PatchOptions{FieldManager: FieldManager, Force: &force})
	return meta.Name, err
}

// AwaitEstablished waits until a CustomResourceDefinition is served, or tells what the API server has against its names.
func AwaitEstablished(ctx context.Context, client clientset.Interface, name string) error {
	ctx, cancel := context.WithTimeout(ctx, establishTimeout)
	defer cancel()
	ticker := time.NewTicker(establishInterval)
	defer ticker.Stop()
	for {
		crd, err := client.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("wait for kind %s: %w", name, err)
		}
		for _, condition := range crd.Status.Conditions {
			switch {
			case condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue:
				return nil
			case condition.Type == apiextensionsv1.NamesAccepted && condition.Status == apiextensionsv1.ConditionFalse:
				return fmt.Errorf("kind %s is refused: %s", name, condition.Message)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for kind %s: %w", name, ctx.Err())
		case <-ticker.C:
		}
	}
}
