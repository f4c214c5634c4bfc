package endpoint

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var compareAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestParseReadsEndpoints(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 63)
	for s, want := range map[string]Endpoint{
		"https://hello.skills.example.com":       {Host: "hello.skills.example.com", Port: 443},
		"http://hello.skills.example.com":        {Host: "hello.skills.example.com", Port: 80},
		"https://hello.skills.example.com/":      {Host: "hello.skills.example.com", Port: 443},
		"https://hello.skills.example.com:443":   {Host: "hello.skills.example.com", Port: 443},
		"https://hello.skills.example.com:8443":  {Host: "hello.skills.example.com", Port: 8443},
		"http://h:1/":                            {Host: "h", Port: 1},
		"http://h:65535":                         {Host: "h", Port: 65535},
		"https://h/v1/Skills/a_b-c.d~e/":         {Host: "h", Port: 443},
		"https://h/.well-known/..a":              {Host: "h", Port: 443},
		"https://3scale.internal":                {Host: "3scale.internal", Port: 443},
		"https://0x7f.example.com":               {Host: "0x7f.example.com", Port: 443},
		"https://127.0.0.1.example.com":          {Host: "127.0.0.1.example.com", Port: 443},
		"https://xn--bcher-kva.example":          {Host: "xn--bcher-kva.example", Port: 443},
		"https://localhost:8443":                 {Host: "localhost", Port: 8443},
		"https://" + label + "." + label:         {Host: label + "." + label, Port: 443},
		"http://10.20.0.7:8080":                  {Addr: netip.MustParseAddr("10.20.0.7"), Port: 8080},
		"http://127.0.0.1":                       {Addr: netip.MustParseAddr("127.0.0.1"), Port: 80},
		"http://[::1]:9000":                      {Addr: netip.MustParseAddr("::1"), Port: 9000},
		"http://[::]":                            {Addr: netip.MustParseAddr("::"), Port: 80},
		"https://[fd00:1234::5]/v1":              {Addr: netip.MustParseAddr("fd00:1234::5"), Port: 443},
		"https://[2001:db8::1]":                  {Addr: netip.MustParseAddr("2001:db8::1"), Port: 443},
		"https://h/" + strings.Repeat("a", 502):  {Host: "h", Port: 443},
		"http://a-b--c.example":                  {Host: "a-b--c.example", Port: 80},
		"http://metadata.google.internal":        {Host: "metadata.google.internal", Port: 80}, // well-formed; no list admits it by accident
		"http://169.254.169.254/latest/metadata": {Addr: netip.MustParseAddr("169.254.169.254"), Port: 80},
	} {
		got, err := Parse(s)
		if err != nil {
			t.Errorf("Parse(%q): %v", s, err)
		}
		if diff := cmp.Diff(want, got, compareAddr); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", s, diff)
		}
	}
}

// refusedURLs are what Parse refuses, with the reason.
var refusedURLs = map[string]error{
	"": errScheme, "h": errScheme, "//h": errScheme, "h:443": errScheme, "https:h": errScheme, "https:/h": errScheme,
	"ftp://h": errScheme, "file:///etc/passwd": errScheme, "gopher://h": errScheme, "javascript:alert(1)": errScheme,
	"HTTPS://h": errScheme, "Http://h": errScheme, "httpss://h": errScheme, "ws://h": errScheme, "grpc://h": errScheme,
	"unix:///run/docker.sock": errScheme, "data:,x": errScheme,

	"https://h/" + strings.Repeat("a", 503): errLength,

	" https://h": errCharacters, "https://h ": errCharacters, "https://h/a b": errCharacters, "https://h\n": errCharacters,
	"https://h\x00": errCharacters, "https://h\t.example": errCharacters, "https://h/\x7f": errCharacters,
	"https://bücher.example": errCharacters, "https://еxample.com": errCharacters, // the first letter is Cyrillic
	"https://ｅxample.com": errCharacters, "https://example。com": errCharacters, "https://①②⑦.0.0.1": errCharacters,
	"https://example.com/ü": errCharacters, "https://ex\u00adample.com": errCharacters, "https://h\u202e": errCharacters,

	"https://user@h": errParts, "https://user:pass@h": errParts, "https://:@h": errParts, "https://@h": errParts,
	"https://good.example@evil.example": errParts, "https://evil.example#good.example": errParts,
	"https://h?x": errParts, "https://h/?x=1": errParts, "https://h?": errParts, "https://h#": errParts, "https://h/#f": errParts,
	`https://h\evil.example`: errParts, `https:\\h`: errScheme, "https://h/%2e%2e/": errParts, "https://h%2eexample": errParts,
	"https://h/%": errParts, "https://[fe80::1%25eth0]": errParts, "https://[fe80::1%eth0]": errParts,

	"https://h//": errPath, "https://h//a": errPath, "https://h/a//b": errPath, "https://h/..": errPath, "https://h/../a": errPath,
	"https://h/a/../b": errPath, "https://h/./a": errPath, "https://h/.": errPath, "https://h/a;b": errPath, "https://h/a:b": errPath,
	"https://h/{id}": errPath, "https://h/a/..;/b": errPath, "https://h/*": errPath, "https:///h": errHost, "https://h/|": errPath,

	"https://h:": errPort, "https://h:0": errPort, "https://h:0443": errPort, "https://h:65536": errPort, "https://h:99999999999": errPort,
	"https://h:+443": errPort, "https://h:-1": errPort, "https://h:443a": errPort, "https://h:https": errPort, "https://h:443:443": errPort,
	"https://h:/a": errPort, "https://[::1]:": errPort, "https://[::1]:0": errPort, "https://::1": errPort, "https://h:4_3": errPort,

	"https://": errHost, "https:///": errHost, "https://:443": errHost, "https://H": errHost, "https://Example.com": errHost,
	"https://example.com.": errHost, "https://.example.com": errHost, "https://a..b": errHost, "https://.": errHost,
	"https://-a.example": errHost, "https://a-.example": errHost, "https://a_b.example": errHost, "https://*.example.com": errHost,
	"https://a,b": errHost, "https://a!b": errHost, "https://$(id)": errHost, "https://{{h}}": errHost,
	"https://" + strings.Repeat("a", 64) + ".example":  errHost,
	"https://" + strings.Repeat("a.", 124) + "example": errHost,
	"https://localhost.":                               errHost,
	"https://127.0.0.1.":                               errHost,
	"https://metadata.google.internal.":                errHost,
	"https://h&x":                                      errHost, "https://h'": errHost, `https://h"`: errHost, "https://<h>": errHost, "https://h;a": errHost,

	"https://2130706433": errAddress, "https://127.1": errAddress, "https://127.0.1": errAddress, "https://0": errAddress,
	"https://0x7f.1": errAddress, "https://0x7f000001": errAddress, "https://0x7f.0x0.0x0.0x1": errAddress, "https://127.0.0.0x1": errAddress,
	"https://0177.0.0.1": errAddress, "https://127.0.0.01": errAddress, "https://127.0.0.256": errAddress, "https://127.0.0.1.1": errAddress,
	"https://017700000001": errAddress, "https://a.0": errAddress, "https://example.123": errAddress, "https://1.2.3": errAddress,
	"https://0xa9fea9fe": errAddress, "https://2852039166": errAddress, "https://169.254.43518": errAddress, "https://0x": errAddress,
	"https://a.0xg": errAddress,

	"https://[127.0.0.1]": errAddress, "https://[h]": errAddress, "https://[]": errAddress, "https://[::1": errPort, "https://::1]": errAddress,
	"https://[::1]a": errAddress, "https://a[::1]": errAddress, "https://[[::1]]": errAddress, "https://[0:0:0:0:0:0:0:1]": errAddress,
	"https://[0::1]": errAddress, "https://[::01]": errAddress, "https://[FD00::1]": errAddress, "https://[1::0:0:1]": errAddress,
	"https://[::127.0.0.1]": errAddress, "https://[::ffff:7f00:1]": errAddress, "https://[64:ff9b::127.0.0.1]": errAddress,
	"https://[v1.a]": errAddress, "https://[::1]]": errAddress,

	"https://[::ffff:127.0.0.1]": errEmbedded, "https://[::ffff:10.0.0.1]": errEmbedded, "https://[::ffff:169.254.169.254]:80": errEmbedded,
	"https://[::7f00:1]": errEmbedded, "https://[::2]": errEmbedded, "https://[::ffff:0:7f00:1]": errEmbedded,
	"https://[64:ff9b::7f00:1]": errEmbedded, "https://[64:ff9b::a9fe:a9fe]": errEmbedded, "https://[64:ff9b:1::1]": errEmbedded,
	"https://[2002:7f00:1::]": errEmbedded, "https://[2002:a9fe:a9fe::1]": errEmbedded, "https://[2001::1]": errEmbedded,
}

func TestParseRefusesOtherSpellingsAndOtherThings(t *testing.T) {
	t.Parallel()
	for s, want := range refusedURLs {
		if got, err := Parse(s); !errors.Is(err, want) {
			t.Errorf("Parse(%q) = %+v, error %v; want the error: %v", s, got, err, want)
		}
	}
}

// What Parse accepts means the same to net/url, so to whoever will call it.
func FuzzParseAgreesWithNetURL(f *testing.F) {
	for s := range refusedURLs {
		f.Add(s)
	}
	for _, s := range []string{"https://hello.skills.example.com:8443/v1/", "http://127.0.0.1", "http://[::1]:9000", "https://[fd00::1]/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse(s)
		if err != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatalf("net/url refuses %q: %v", s, err)
		}
		host, port := e.Host, u.Port()
		if host == "" {
			host = e.Addr.String()
		}
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		got := []string{u.Hostname(), port, u.User.String(), u.RawQuery, u.Fragment, u.Opaque, u.RawPath}
		want := []string{host, strconv.Itoa(int(e.Port)), "", "", "", "", ""}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: Parse and net/url differ (-Parse +net/url):\n%s", s, diff)
		}
		if clean := u.JoinPath().Path; clean != u.Path && clean != "/" {
			t.Errorf("the path of %q becomes %q when cleaned", s, clean)
		}
	})
}
