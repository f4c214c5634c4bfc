package keyset

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
)

// The labels of blocks that hold a public key (RFC 7468 section 13, RFC 8017
// appendix A.1.1).
const (
	blockPublicKey = "PUBLIC KEY"
	blockRSAPublic = "RSA PUBLIC KEY"
)

// readPEM reads the public keys of a PEM text. What stands between the blocks is
// not looked at, as RFC 7468 has it. A fault concerns the text as a whole, which
// has no places that a JSON Pointer could name.
func readPEM(text string) ([]found, []fault) {
	var all []found
	var faults []fault
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		key, wrong := readBlock(block)
		all = append(all, found{key: key, ok: len(wrong) == 0})
		faults = append(faults, wrong...)
	}
	switch {
	case len(all) == 0 && strings.Contains(text, "PRIVATE KEY-----"):
		return nil, []fault{{"", codePrivate, "holds a private key"}}
	case len(all) == 0:
		return nil, []fault{{"", codeNone, "has no block of PEM"}}
	}
	return all, faults
}

func readBlock(block *pem.Block) (Key, []fault) {
	var parsed any
	var err error
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return Key{}, []fault{{"", codePrivate, "holds a private key"}}
	case block.Type == blockPublicKey:
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == blockRSAPublic:
		parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return Key{}, []fault{{"", codeKeyType, "has a block that is neither PUBLIC KEY nor RSA PUBLIC KEY"}}
	}
	if err != nil {
		return Key{}, []fault{{"", codeMalformed, "has a block that cannot be read"}}
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return Key{}, []fault{{"", codeKeyType, "has a key that is not RSA, the one type that Auth0 takes"}}
	}
	if _, faults := checkRSA(public.N, big.NewInt(int64(public.E)), "", ""); len(faults) > 0 {
		return Key{}, faults
	}
	key, err := newKey(public, algorithms[0])
	if err != nil {
		return Key{}, []fault{{"", codeMalformed, "has a block that cannot be read"}}
	}
	return key, nil
}
