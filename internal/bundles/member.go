package bundles

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
)

// member is one file of a bundle, as a gzip member of its own. It never changes.
type member struct {
	path   string
	hash   [sha256.Size]byte // as signatures have it
	packed []byte
}

// packer makes members. It keeps the compressor, which is a megabyte that a
// small file would otherwise pay for. It is not safe for concurrent use.
type packer struct{ gzip *gzip.Writer }

// document packs a JSON document.
func (p *packer) document(path string, v any) (*member, error) {
	content, err := canonical(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", path, err)
	}
	return p.file(path, content)
}

// file packs one file; of JSON the content is canonical. The same file always
// gives the same bytes, whatever was packed before: neither tar nor gzip is told a
// time, an owner or a name of ours.
func (p *packer) file(path string, content []byte) (*member, error) {
	packed, err := p.compress(func(w *gzip.Writer) error {
		tw := tar.NewWriter(w)
		header := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o600, Size: int64(len(content)), Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(header); err != nil {
			return err
		}
		if _, err := tw.Write(content); err != nil {
			return err
		}
		return tw.Flush() // pads; Close would end the archive
	})
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", path, err)
	}
	return &member{path: path, hash: sha256.Sum256(content), packed: packed}, nil
}

// end is the end of every archive: two empty blocks.
func (p *packer) end() (*member, error) {
	packed, err := p.compress(func(w *gzip.Writer) error {
		_, err := w.Write(make([]byte, 1024))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pack the end of a bundle: %w", err)
	}
	return &member{packed: packed}, nil
}

func (p *packer) compress(write func(*gzip.Writer) error) (packed []byte, err error) {
	var b bytes.Buffer
	if p.gzip == nil {
		p.gzip, err = gzip.NewWriterLevel(&b, gzip.BestSpeed)
	} else {
		p.gzip.Reset(&b)
	}
	if err == nil {
		err = write(p.gzip)
	}
	if err == nil {
		err = p.gzip.Close()
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil // without the room that the buffer grew
}
