package controlplane

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestCertificatesOfNodes(t *testing.T) {
	address, node := net.IPv4(10, 77, 0, 1), net.IPv4(10, 77, 0, 2)
	p, err := ensurePKI(filepath.Join(t.TempDir(), "pki"), &NodeOptions{Address: address, Names: map[string]net.IP{"local": node}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	read := func(pair string) *x509.Certificate {
		content, err := os.ReadFile(p.cert(pair))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(content)
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return certificate
	}
	for _, called := range []net.IP{address, serviceAddress} {
		if err := read(pairAPIServer).VerifyHostname(called.String()); err != nil {
			t.Errorf("the API server may not be called %s: %v", called, err)
		}
	}
	kubelet := read(nodePair("local"))
	if kubelet.Subject.CommonName != "system:node:local" || !slices.Contains(kubelet.Subject.Organization, "system:nodes") {
		t.Errorf("the API server does not know %s as a node", kubelet.Subject)
	}
	if err := kubelet.VerifyHostname(node.String()); err != nil {
		t.Errorf("the kubelet may not be called by its address: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(read(pairCA))
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := kubelet.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Errorf("the kubelet's certificate does not serve for %v: %v", usage, err)
		}
	}
}

func TestIdentitiesNeedNodes(t *testing.T) {
	if _, err := new(ControlPlane).Node("local"); err == nil {
		t.Error("a control plane without nodes gave one an identity")
	}
}
