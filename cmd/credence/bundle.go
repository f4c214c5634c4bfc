package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/registry"
)

// bundleCommand shows what policy engines load.
func bundleCommand(io streams, env lookup) *cobra.Command {
	return newDeveloper(io, env).bundleCommand()
}

func (d *developer) bundleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Show what policy engines load",
		Long:  `Shows the bundles that the server gives policy engines. It exits as credence agent does.`,
	}
	d.bind(cmd)
	cmd.AddCommand(d.inspectBundleCommand())
	return cmd
}

func (d *developer) inspectBundleCommand() *cobra.Command {
	var part, digest, file string
	cmd := &cobra.Command{
		Use:   "inspect SCOPE",
		Short: "Say what an OPA of the scope sees",
		Long: `Downloads the bundle of a scope, which is an environment, and says what is in it: its
revision and how old it is, the agents, resources and layers, the modules and whether
it is signed. --file prints one of its files.`,
		Example: `  credence bundle inspect production
  credence bundle inspect production --part agents-0
  credence bundle inspect production --file layers/team/customer-success.rego`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&part, "part", "", "only this `part`, such as policy, resources or agents-0")
	cmd.Flags().StringVar(&digest, "digest", "", "a previous bundle that the server still has, by its `digest`")
	cmd.Flags().StringVar(&file, "file", "", "print the `file` of the bundle that has this path")
	noFiles(cmd, "part", "digest", "file")
	output := outputFlag(cmd, "table", "json")
	cmd.RunE = interruptible(func(cmd *cobra.Command, args []string) error {
		client, err := d.connect(cmd)
		if err != nil {
			return err
		}
		answer, err := client.Bundle(cmd.Context(), registry.ScopePart{Scope: args[0], Part: part}, digest)
		if err != nil {
			return err
		}
		files, err := unpack(answer.Document)
		if err != nil {
			return fmt.Errorf("read the bundle: %w", err)
		}
		if file != "" {
			content, ok := files[file]
			if !ok {
				return advise(registry.NotFound.Errorf("not_found", "the bundle has no file %q", plain(file)), "Without --file the files are listed.")
			}
			return writeAll(d.io.out, content)
		}
		about := inspectBundle(answer.Document, files)
		about.ETag = strings.Trim(answer.ETag, `"`)
		if output.value == "json" {
			return writeJSON(d.io.out, mustJSON(about))
		}
		var b bytes.Buffer
		about.print(&b)
		err = writeAll(d.io.out, b.Bytes())
		d.warnOfAge(answer.Age)
		return err
	})
	return cmd
}

// bundleFacts are what there is to say of a bundle.
type bundleFacts struct {
	ETag      string         `json:"etag"`
	Digest    string         `json:"digest"`
	Bytes     int            `json:"bytes"`
	Revision  int64          `json:"revision"`
	Layout    int64          `json:"layout,omitempty"`
	AsOf      *time.Time     `json:"as_of,omitempty"`
	Roots     []string       `json:"roots"`
	Records   map[string]int `json:"records"` // agents, resources, and layers by tier
	Modules   []string       `json:"modules"`
	Signature string         `json:"signature,omitempty"` // key id
	Files     int            `json:"files"`
}

const (
	maxFile  = 256 << 20 // of a bundle, unpacked
	maxFiles = 20_000
)

// unpack returns the files of a bundle by path.
func unpack(archive []byte) (map[string][]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	left := int64(maxFile)
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(r, left+1))
		if err != nil {
			return nil, err
		}
		if left -= int64(len(content)); left < 0 || len(files) == maxFiles {
			return nil, fmt.Errorf("it is larger than a bundle of ours can be")
		}
		files[strings.TrimPrefix(header.Name, "/")] = content
	}
}

func inspectBundle(archive []byte, files map[string][]byte) bundleFacts {
	sum := sha256.Sum256(archive)
	about := bundleFacts{Digest: "sha-256:" + hex.EncodeToString(sum[:]), Bytes: len(archive), Files: len(files), Records: map[string]int{}, Modules: []string{}}
	var manifest struct {
		Roots []string `json:"roots"`
	}
	_ = json.Unmarshal(files[".manifest"], &manifest) // what cannot be read is not shown
	about.Roots = manifest.Roots
	for name, content := range files {
		switch dir := path.Dir(name); {
		case path.Ext(name) == ".rego":
			about.Modules = append(about.Modules, name)
		case name == "registry/meta/data.json", strings.HasPrefix(name, "registry/parts/"):
			about.readMeta(content)
		case strings.HasPrefix(dir, "registry/agents/"), strings.HasPrefix(dir, "registry/resources/"):
			about.count(strings.Split(dir, "/")[1], content)
		case strings.HasPrefix(dir, "registry/layers/"):
			about.count(strings.Split(dir, "/")[2]+" layers", content)
		case name == ".signatures.json":
			about.Signature = keyIDOf(content)
		}
	}
	slices.Sort(about.Modules)
	return about
}

func (b *bundleFacts) readMeta(content []byte) {
	var meta struct {
		Revision int64 `json:"revision"`
		Layout   int64 `json:"layout"`
		AsOf     int64 `json:"as_of"`
	}
	if json.Unmarshal(content, &meta) != nil {
		return
	}
	b.Revision, b.Layout = max(b.Revision, meta.Revision), max(b.Layout, meta.Layout)
	if meta.AsOf > 0 {
		at := time.Unix(0, meta.AsOf).UTC()
		b.AsOf = &at
	}
}

func (b *bundleFacts) count(kind string, content []byte) {
	var records map[string]json.RawMessage
	if json.Unmarshal(content, &records) == nil {
		b.Records[kind] += len(records)
	}
}

// keyIDOf is the id of the key that signed, as the signature says it: it is not
// verified here.
func keyIDOf(signatures []byte) string {
	var doc struct {
		Signatures []string `json:"signatures"`
	}
	if json.Unmarshal(signatures, &doc) != nil || len(doc.Signatures) != 1 {
		return "unreadable"
	}
	header, _, _ := strings.Cut(doc.Signatures[0], ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	var about struct {
		KeyID string `json:"kid"`
		Alg   string `json:"alg"`
	}
	if err != nil || json.Unmarshal(text, &about) != nil {
		return "unreadable"
	}
	return about.KeyID + " (" + about.Alg + ", not verified here)"
}

func (b *bundleFacts) print(w io.Writer) {
	rows := [][]string{{"ETag", b.ETag}, {"Digest", b.Digest}, {"Size", strconv.Itoa(b.Bytes) + " bytes, " + strconv.Itoa(b.Files) + " files"}}
	if b.Revision > 0 {
		rows = append(rows, []string{"Revision", strconv.FormatInt(b.Revision, 10)})
	}
	if b.Layout > 0 {
		rows = append(rows, []string{"Layout", strconv.FormatInt(b.Layout, 10)})
	}
	if b.AsOf != nil {
		rows = append(rows, []string{"As of", moment(*b.AsOf)})
	}
	rows = append(rows, []string{"Roots", strings.Join(b.Roots, ", ")})
	for _, kind := range []string{"agents", "resources", "global layers", "team layers", "agent_type layers", "agent layers"} {
		if n := b.Records[kind]; n > 0 {
			rows = append(rows, []string{strings.ToUpper(kind[:1]) + kind[1:], strconv.Itoa(n)})
		}
	}
	signature := b.Signature
	if signature == "" {
		signature = "none"
	}
	rows = append(rows, []string{"Signature", signature})
	table(w, rows...)
	if len(b.Modules) > 0 {
		fmt.Fprintln(w)
		rows = [][]string{{"MODULES"}}
		for _, m := range b.Modules {
			rows = append(rows, []string{m})
		}
		table(w, rows...)
	}
}
