package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

// The parts of SPDX 2.3 that are used here: https://spdx.github.io/spdx-spec/v2.3/.
type (
	spdxDocument struct {
		SPDXVersion       string             `json:"spdxVersion"`
		DataLicense       string             `json:"dataLicense"`
		SPDXID            string             `json:"SPDXID"`
		Name              string             `json:"name"`
		DocumentNamespace string             `json:"documentNamespace"`
		CreationInfo      spdxCreation       `json:"creationInfo"`
		Packages          []spdxPackage      `json:"packages"`
		Relationships     []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		SPDXID           string          `json:"SPDXID"`
		Name             string          `json:"name"`
		VersionInfo      string          `json:"versionInfo,omitempty"`
		DownloadLocation string          `json:"downloadLocation"`
		FilesAnalyzed    bool            `json:"filesAnalyzed"`
		LicenseDeclared  string          `json:"licenseDeclared"`
		Checksums        []spdxChecksum  `json:"checksums,omitempty"`
		ExternalRefs     []spdxReference `json:"externalRefs"`
		PrimaryPurpose   string          `json:"primaryPackagePurpose"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxReference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

const unknown = "NOASSERTION" // what SPDX says for it

// billOfMaterials lists the modules that a Go binary was linked from, as the linker wrote them into it, and the standard
// library. The binary's digest, such as sha256:…, ties the list to it.
func billOfMaterials(info *debug.BuildInfo, about description, binary string) ([]byte, error) {
	const document, program = "SPDXRef-DOCUMENT", "SPDXRef-Package-tertulia"
	_, hash, _ := strings.Cut(binary, ":")
	main := spdxModule(program, info.Main.Path, about.version)
	main.PrimaryPurpose, main.LicenseDeclared, main.DownloadLocation = "APPLICATION", license, "git+"+source
	main.Checksums = []spdxChecksum{{"SHA256", hash}}
	made := spdxDocument{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: document, Name: "tertulia-" + about.version,
		DocumentNamespace: source + "/spdx/" + url.PathEscape(about.version) + "-" + hash,
		// The same binary makes the same list, so the time is the image's.
		CreationInfo:  spdxCreation{Created: epoch.Format(time.RFC3339), Creators: []string{"Tool: tertulia-hack-image"}},
		Packages:      []spdxPackage{main},
		Relationships: []spdxRelationship{{document, "DESCRIBES", program}},
	}
	add := func(path, version string) {
		id := fmt.Sprintf("SPDXRef-Package-%d", len(made.Packages))
		made.Packages = append(made.Packages, spdxModule(id, path, version))
		made.Relationships = append(made.Relationships, spdxRelationship{program, "DEPENDS_ON", id})
	}
	add("stdlib", strings.TrimPrefix(info.GoVersion, "go"))
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		add(module.Path, module.Version)
	}
	content, err := json.MarshalIndent(made, "", "  ")
	return append(content, '\n'), err
}

func spdxModule(id, path, version string) spdxPackage {
	// https://github.com/package-url/purl-spec: each part of a name is escaped by itself.
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return spdxPackage{
		SPDXID: id, Name: path, VersionInfo: version, DownloadLocation: unknown, LicenseDeclared: unknown, PrimaryPurpose: "LIBRARY",
		ExternalRefs: []spdxReference{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + strings.Join(parts, "/") + "@" + url.PathEscape(version)}},
	}
}

// setting is how a binary was built, such as for which GOARCH.
func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
