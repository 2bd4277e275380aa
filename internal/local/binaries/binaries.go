// Package binaries finds the programs of a Kubernetes control plane, or builds them from their Go modules, which needs no
// download of binaries: a module proxy is enough.
package binaries

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// KubernetesVersion is the release that is built and cached.
const KubernetesVersion = "v1.36.3"

// AssetsVariable is the environment variable by which envtest and setup-envtest name a folder of such programs.
const AssetsVariable = "KUBEBUILDER_ASSETS"

// The programs' names, which are their files' names too.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	kubectl           = "kubectl"
	scheduler         = "kube-scheduler"
	proxy             = "kube-proxy"
	kubelet           = "kubelet"
)

// Set says where the programs of a control plane are, as absolute paths.
type Set struct {
	Etcd, APIServer, ControllerManager, Kubectl string
}

// NodeSet says where the further programs are that a node needs on which pods run, as absolute paths.
type NodeSet struct {
	Scheduler, Proxy, Kubelet string
}

// Options say where to look. The zero value is what a user wants.
type Options struct {
	// Assets is a folder whose programs are preferred to ours, whichever of them it has.
	// Default: the environment's KUBEBUILDER_ASSETS.
	Assets string
	// Cache is the folder in which built programs are kept. Default: CacheDir.
	Cache string
	// Progress is told what is being built and how far it is. Default: nobody.
	Progress io.Writer
}

// CacheDir is where built programs are kept, outside of any checkout: <user cache>/tertulia/kubernetes-<version>.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder for control plane programs: %w", err)
	}
	return filepath.Join(base, "tertulia", "kubernetes-"+KubernetesVersion), nil
}

// Ensure finds every program of a control plane, building what is missing. That takes minutes the first time on a machine
// and needs the go command; afterwards it is a matter of looking. Processes that need the same build wait for one of them to
// do it.
func Ensure(ctx context.Context, o Options) (Set, error) {
	return ensure(ctx, o, recipes())
}

// EnsureNode does for the programs of a node what Ensure does for those of a control plane. Only who runs pods needs them.
func EnsureNode(ctx context.Context, o Options) (NodeSet, error) {
	var set NodeSet
	err := find(ctx, o, nodeRecipes(), map[string]*string{scheduler: &set.Scheduler, proxy: &set.Proxy, kubelet: &set.Kubelet})
	if err != nil {
		return NodeSet{}, err
	}
	return set, nil
}

func ensure(ctx context.Context, o Options, recipes []recipe) (Set, error) {
	var set Set
	err := find(ctx, o, recipes, map[string]*string{
		etcd: &set.Etcd, apiServer: &set.APIServer, controllerManager: &set.ControllerManager, kubectl: &set.Kubectl,
	})
	if err != nil {
		return Set{}, err
	}
	return set, nil
}

// find builds what is missing of the recipes and notes the path of each program that is wanted.
func find(ctx context.Context, o Options, recipes []recipe, wanted map[string]*string) error {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Assets == "" {
		o.Assets = os.Getenv(AssetsVariable)
	}
	if o.Cache == "" {
		cache, err := CacheDir()
		if err != nil {
			return err
		}
		o.Cache = cache
	}
	for _, r := range recipes {
		if len(missing(r, o)) == 0 {
			continue
		}
		if err := build(ctx, r, o); err != nil {
			return fmt.Errorf("build %s: %w (or point %s at a folder that has them)", r.title, err, AssetsVariable)
		}
	}
	var errs []error
	for name, path := range wanted {
		found, err := locate(name, o)
		*path = found
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// missing lists the programs of a recipe that are in neither folder.
func missing(r recipe, o Options) []program {
	var absent []program
	for _, p := range r.programs {
		if _, err := locate(p.name, o); err != nil {
			absent = append(absent, p)
		}
	}
	return absent
}

// locate looks for a program in the assets folder and then in the cache.
func locate(name string, o Options) (string, error) {
	for _, folder := range []string{o.Assets, o.Cache} {
		if folder == "" {
			continue
		}
		path, err := filepath.Abs(filepath.Join(folder, name))
		if err != nil {
			return "", fmt.Errorf("look for %s: %w", name, err)
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("no program %s in %s", name, o.Cache)
}
