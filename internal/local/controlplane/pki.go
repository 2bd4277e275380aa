package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is how long the certificates hold: longer than anybody keeps a local data directory.
const validity = 20 * 365 * 24 * time.Hour

// pki is a folder of keys and certificates, each pair in <name>.key and <name>.crt, that one authority signed. They are made
// once and kept: a kubeconfig and the tokens of ServiceAccounts outlive a restart.
type pki struct {
	folder string
	caCert *x509.Certificate
	caKey  *ecdsa.PrivateKey
}

// The names of the pairs.
const (
	pairCA                = "ca"
	pairAPIServer         = "apiserver"
	pairEtcd              = "etcd"
	pairEtcdClient        = "etcd-client"
	pairAdmin             = "admin"
	pairControllerManager = "controller-manager"
	keyServiceAccounts    = "service-accounts"
)

// serverAddresses are what the API server and etcd may be called by their clients.
var (
	serverAddresses = []net.IP{net.IPv4(127, 0, 0, 1), serviceAddress}
	serverNames     = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
)

func (p *pki) cert(name string) string { return filepath.Join(p.folder, name+".crt") }
func (p *pki) key(name string) string  { return filepath.Join(p.folder, name+".key") }
func (p *pki) file(name string) string { return filepath.Join(p.folder, name) }

// ensurePKI loads the folder, or makes it: aside first, so that a half-made one is never seen.
func ensurePKI(folder string, nodes *NodeOptions, now time.Time) (*pki, error) {
	p := &pki{folder: folder}
	if _, err := os.Stat(folder); err == nil {
		return p, nil
	}
	making := &pki{folder: folder + ".new"}
	if err := os.RemoveAll(making.folder); err != nil {
		return nil, fmt.Errorf("remove half-made certificates: %w", err)
	}
	if err := os.MkdirAll(making.folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of certificates: %w", err)
	}
	if err := making.makeAll(nodes, now); err != nil {
		return nil, err
	}
	if err := os.Rename(making.folder, folder); err != nil {
		return nil, fmt.Errorf("put the certificates in place: %w", err)
	}
	return p, nil
}

func (p *pki) makeAll(nodes *NodeOptions, now time.Time) error {
	if err := p.makeAuthority(now); err != nil {
		return err
	}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	client := both[1:]
	pairs := map[string]*x509.Certificate{
		pairAPIServer: {Subject: pkix.Name{CommonName: "kube-apiserver"}, IPAddresses: serverAddresses, DNSNames: serverNames, ExtKeyUsage: both[:1]},
		// etcd is its own peer, so its certificate is a client's too.
		pairEtcd:       {Subject: pkix.Name{CommonName: "etcd"}, IPAddresses: serverAddresses[:1], DNSNames: serverNames[:1], ExtKeyUsage: both},
		pairEtcdClient: {Subject: pkix.Name{CommonName: "kube-apiserver"}, ExtKeyUsage: client},
		// system:masters may do everything, whatever RBAC says.
		pairAdmin:             {Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, ExtKeyUsage: client},
		pairControllerManager: {Subject: pkix.Name{CommonName: "system:kube-controller-manager"}, ExtKeyUsage: client},
	}
	nodes.addTo(pairs)
	for name, template := range pairs {
		if err := p.makePair(name, template, now); err != nil {
			return err
		}
	}
	// The key that signs the tokens of ServiceAccounts needs no certificate.
	_, err := p.makeKey(keyServiceAccounts)
	return err
}

func (p *pki) makeAuthority(now time.Time) error {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "tertulia-local"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	key, err := p.makeKey(pairCA)
	if err != nil {
		return err
	}
	p.caCert, p.caKey = template, key
	return p.sign(pairCA, template, key, now)
}

func (p *pki) makePair(name string, template *x509.Certificate, now time.Time) error {
	key, err := p.makeKey(name)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	return p.sign(name, template, key, now)
}

func (p *pki) makeKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", name, err)
	}
	// SEC 1, the one form of an elliptic key that every reader of the control plane accepts, for ServiceAccounts too.
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key %s: %w", name, err)
	}
	return key, writePEM(p.key(name), "EC PRIVATE KEY", der)
}

func (p *pki) sign(name string, template *x509.Certificate, key *ecdsa.PrivateKey, now time.Time) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return fmt.Errorf("number certificate %s: %w", name, err)
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, p.caCert, key.Public(), p.caKey)
	if err != nil {
		return fmt.Errorf("sign certificate %s: %w", name, err)
	}
	return writePEM(p.cert(name), "CERTIFICATE", der)
}

func writePEM(path, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// read returns the certificate and the key of a pair as they stand in their files.
func (p *pki) read(name string) (cert, key []byte, err error) {
	cert, certErr := os.ReadFile(p.cert(name))
	key, keyErr := os.ReadFile(p.key(name))
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, nil, fmt.Errorf("read the certificate %s: %w", name, err)
	}
	return cert, key, nil
}
