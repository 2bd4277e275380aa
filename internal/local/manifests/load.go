package manifests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// object is a manifest and where it stands.
type object struct {
	*unstructured.Unstructured
	// file is the one to edit, as well as it is known.
	file string
	// source is the file or the kustomization whose reading yields the object: as long as that cannot be read, the object counts
	// as still wanted.
	source string
}

// loaded is what a pass over the directories found.
type loaded struct {
	objects []object
	// broken says what could not be read, and why.
	broken []Problem
	// unreadable are the files and folders that stand behind it: what they would yield is not known.
	unreadable []string
	// folders are those to watch.
	folders map[string]bool
}

// load reads a directory as a GitOps tool would: a folder with a kustomization is built, of any other every YAML file is
// taken, and so on for its sub-folders. Names that begin with a dot are left out.
func load(directory string) loaded {
	l := loaded{folders: map[string]bool{}}
	info, err := os.Stat(directory)
	switch {
	case err != nil:
		l.fail(directory, directory, err)
	case !info.IsDir():
		l.fail(directory, directory, errors.New("it is not a folder"))
	default:
		l.folder(directory)
	}
	return l
}

func (l *loaded) fail(file, unreadable string, err error) {
	l.broken = append(l.broken, Problem{File: file, Err: err})
	l.unreadable = append(l.unreadable, unreadable)
}

func (l *loaded) folder(folder string) {
	l.folders[folder] = true
	if file := kustomizationFile(folder); file != "" {
		l.kustomization(folder, file)
		return
	}
	children, err := os.ReadDir(folder)
	if err != nil {
		l.fail(folder, folder, err)
		return
	}
	for _, child := range children {
		path := filepath.Join(folder, child.Name())
		switch {
		case strings.HasPrefix(child.Name(), "."):
		case isFolder(path, child):
			l.folder(path)
		case slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)):
			l.file(path)
		}
	}
}

// isFolder follows symbolic links, which GitOps tools and editors like to use, but not to a folder above (a loop).
func isFolder(path string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.IsDir()
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil || strings.HasPrefix(filepath.Dir(path)+string(filepath.Separator), target+string(filepath.Separator)) {
		return false
	}
	info, err := os.Stat(target)
	return err == nil && info.IsDir()
}

func (l *loaded) file(path string) {
	content, err := os.ReadFile(path) //nolint:gosec // the user's own manifests
	if err != nil {
		l.fail(path, path, err)
		return
	}
	objects, err := decode(content)
	if err != nil {
		l.fail(path, path, err)
		return
	}
	for _, o := range objects {
		l.objects = append(l.objects, object{Unstructured: o, file: path, source: path})
	}
}

// decode splits a file into its documents, and lists into their items.
func decode(content []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for number := 1; ; number++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		fields, err := decodeDocument(document)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		if len(fields) == 0 { // nothing but comments
			continue
		}
		o := &unstructured.Unstructured{Object: fields}
		if err := check(o); err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		if !o.IsList() {
			objects = append(objects, o)
			continue
		}
		list, err := o.ToList()
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		for i := range list.Items {
			objects = append(objects, &list.Items[i])
		}
	}
}

// decodeDocument refuses a key that is given twice, and keeps whole numbers whole.
func decodeDocument(document []byte) (map[string]any, error) {
	content, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	err = utiljson.Unmarshal(content, &fields)
	return fields, err
}

func check(o *unstructured.Unstructured) error {
	switch {
	case o.GetAPIVersion() == "" || o.GetKind() == "":
		return errors.New("it has no apiVersion or no kind, so it is no manifest; move it out of the folder, or list the manifests in a kustomization.yaml")
	case o.GetName() == "" && !o.IsList():
		return fmt.Errorf("the %s has no metadata.name", o.GetKind())
	default:
		return nil
	}
}
