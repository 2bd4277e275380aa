package manifests

import (
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// originAnnotation is where kustomize notes which file an object came from.
const originAnnotation = "config.kubernetes.io/origin"

// kustomizationFile returns the path of a folder's kustomization, or nothing.
func kustomizationFile(folder string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path
		}
	}
	return ""
}

// kustomization builds a folder as `kustomize build` does.
func (l *loaded) kustomization(folder, file string) {
	files := &tracingFiles{FileSystem: filesys.MakeFsOnDisk(), root: file, folders: l.folders}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, folder)
	if err != nil {
		l.fail(file, folder, err)
		return
	}
	for _, each := range built.Resources() {
		fields, err := each.Map()
		if err != nil {
			l.fail(file, folder, err)
			return
		}
		o := object{Unstructured: &unstructured.Unstructured{Object: fields}, file: file, source: file}
		if origin, err := each.GetOrigin(); err == nil && origin != nil {
			o.file = originFile(folder, file, origin)
		}
		dropOrigin(o.Unstructured)
		l.objects = append(l.objects, o)
	}
}

// originFile is the file that an object came from: the manifest, or the kustomization whose generator made it.
func originFile(folder, file string, origin *resource.Origin) string {
	switch {
	case origin.Repo != "":
		return file
	case origin.Path != "":
		return filepath.Join(folder, origin.Path)
	case origin.ConfiguredIn != "":
		return filepath.Join(folder, origin.ConfiguredIn)
	default:
		return file
	}
}

func dropOrigin(o *unstructured.Unstructured) {
	annotations := o.GetAnnotations()
	delete(annotations, originAnnotation)
	if len(annotations) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
		return
	}
	o.SetAnnotations(annotations)
}

// tracingFiles is the disk, but it asks kustomize to note each object's origin, which only a kustomization itself can ask for,
// and it remembers the folders that were read: those of bases lie outside of the one that is built.
type tracingFiles struct {
	filesys.FileSystem
	root    string
	folders map[string]bool
}

func (f *tracingFiles) ReadFile(path string) ([]byte, error) {
	content, err := f.FileSystem.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f.folders[filepath.Dir(path)] = true
	if !sameFile(path, f.root) {
		return content, nil
	}
	var fields map[string]any
	if yaml.Unmarshal(content, &fields) != nil || fields == nil {
		return content, nil // kustomize says what is wrong with it
	}
	wanted, _ := fields["buildMetadata"].([]any)
	if !slices.Contains(wanted, any(types.OriginAnnotations)) {
		fields["buildMetadata"] = append(wanted, types.OriginAnnotations)
	}
	return yaml.Marshal(fields)
}

// sameFile compares what may be two spellings: kustomize resolves symbolic links.
func sameFile(a, b string) bool {
	first, errFirst := os.Stat(a)
	second, errSecond := os.Stat(b)
	return errFirst == nil && errSecond == nil && os.SameFile(first, second)
}
