package endpoint

import "testing"

// Each row is a list, an endpoint, and whether the list admits it.
var rulesTable = []struct {
	list []string
	url  string
	want bool
}{
	// Names, ports by scheme.
	{nil, "https://hello.example.com", false},
	{[]string{"hello.example.com:443"}, "https://hello.example.com", true},
	{[]string{"hello.example.com:443"}, "https://hello.example.com:443/v1", true},
	{[]string{"hello.example.com:443"}, "http://hello.example.com:443", true}, // what speaks on the port is the owner's to say
	{[]string{"hello.example.com:443"}, "http://hello.example.com", false},
	{[]string{"hello.example.com:443"}, "https://hello.example.com:8443", false},
	{[]string{"hello.example.com:80"}, "http://hello.example.com", true},
	{[]string{"hello.example.com:443"}, "https://hello.example.com.evil.example", false},
	{[]string{"hello.example.com:443"}, "https://evilhello.example.com", false},
	{[]string{"hello.example.com:443"}, "https://a.hello.example.com", false},
	{[]string{"hello.example.com:443"}, "https://example.com", false},
	{[]string{"a.example:1", "b.example:2"}, "http://b.example:2", true},
	{[]string{"a.example:1", "b.example:2"}, "http://a.example:2", false},

	// A star is one label.
	{[]string{"*.skills.example.com:443"}, "https://hello.skills.example.com", true},
	{[]string{"*.skills.example.com:443"}, "https://a.b.skills.example.com", false},
	{[]string{"*.skills.example.com:443"}, "https://skills.example.com", false},
	{[]string{"*.skills.example.com:443"}, "https://helloskills.example.com", false},
	{[]string{"*.skills.example.com:443"}, "https://hello.skills.example.com.evil.example", false},
	{[]string{"*.skills.example.com:443"}, "https://hello.skills.example.com:8443", false},
	{[]string{"*.example:443"}, "https://10.example", true},

	// Internationalized names are spelt out.
	{[]string{"*.example.com:443"}, "https://xn--e1awd7f.example.com", false},
	{[]string{"xn--e1awd7f.example.com:443"}, "https://xn--e1awd7f.example.com", true},
	{[]string{"*.xn--bcher-kva.example:443"}, "https://hello.xn--bcher-kva.example", true},
	{[]string{"*.xn--bcher-kva.example:443"}, "https://xn--e1awd7f.xn--bcher-kva.example", false},
	{[]string{"*.com:443"}, "https://xn--pple-43d.com", false},

	// Addresses.
	{[]string{"10.20.0.7:8080"}, "http://10.20.0.7:8080", true},
	{[]string{"10.20.0.7:8080"}, "http://10.20.0.7:8081", false},
	{[]string{"10.20.0.7:8080"}, "http://10.20.0.8:8080", false},
	{[]string{"[fd00:1::5]:8080"}, "http://[fd00:1::5]:8080", true},
	{[]string{"[fd00:1::5]:8080"}, "http://[fd00:1::6]:8080", false},
	{[]string{"10.20.0.0/16"}, "http://10.20.255.255:9", true},
	{[]string{"10.20.0.0/16"}, "https://10.20.0.1", true},
	{[]string{"10.20.0.0/16"}, "http://10.21.0.0", false},
	{[]string{"10.20.0.0/16"}, "http://ten.example", false},
	{[]string{"10.20.0.0/16"}, "http://10.20.0.1.example", false},
	{[]string{"0.0.0.0/0"}, "http://8.8.8.8", true},
	{[]string{"0.0.0.0/0"}, "http://[2001:db8::1]", false},
	{[]string{"::/0"}, "http://[2001:db8::1]", true},
	{[]string{"::/0"}, "http://8.8.8.8", false},
	{[]string{"*.0.0.1:80"}, "http://10.0.0.1", false},

	// What is special has to be meant.
	{[]string{"0.0.0.0/0", "::/0"}, "http://127.0.0.1", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://127.255.255.254", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://0.0.0.0", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://0.1.2.3", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://169.254.1.1", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://169.254.169.254", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://224.0.0.1", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://239.255.255.250", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://255.255.255.255", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://100.100.100.200", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://168.63.129.16", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://192.0.0.192", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://[::1]", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://[::]", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://[fe80::1]", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://[febf::1]", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://[ff02::1]", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://[fd00:ec2::254]", false},
	{[]string{"0.0.0.0/0", "::/0"}, "http://[fd20:ce::254]", false},
	{[]string{"fd00::/8"}, "http://[fd00:ec2::254]", false},
	{[]string{"fd00::/8"}, "http://[fd00:ec3::254]", true},
	{[]string{"126.0.0.0/7"}, "http://127.0.0.1", false},
	{[]string{"126.0.0.0/7"}, "http://126.0.0.1", true},
	{[]string{"0.0.0.0/0", "::/0"}, "http://localhost", false},

	// And is admitted where it is.
	{[]string{"127.0.0.0/8"}, "http://127.0.0.1:8080", true},
	{[]string{"127.0.0.0/8"}, "http://127.9.9.9:8080", true},
	{[]string{"127.0.0.0/8"}, "http://[::1]:8080", false},
	{[]string{"::1/128"}, "http://[::1]:8080", true},
	{[]string{"127.0.0.1/32"}, "http://127.0.0.1", true},
	{[]string{"127.0.0.1/32"}, "http://127.0.0.2", false},
	{[]string{"127.0.0.1:8080"}, "http://127.0.0.1:8080", true},
	{[]string{"127.0.0.1:8080"}, "http://127.0.0.1:8081", false},
	{[]string{"0.0.0.0/8"}, "http://0.0.0.0", true},
	{[]string{"169.254.0.0/16"}, "http://169.254.1.1", true},
	{[]string{"169.254.0.0/16"}, "http://169.254.169.254", false}, // link-local does not mean a cloud's credentials
	{[]string{"169.254.169.254/32"}, "http://169.254.169.254", true},
	{[]string{"169.254.169.254:80"}, "http://169.254.169.254", true},
	{[]string{"fe80::/10"}, "http://[fe80::1]", true},
	{[]string{"fe80::/10"}, "http://[fe80::a9fe:a9fe]", false},
	{[]string{"fe80::/9"}, "http://[fe80::1]", false},
	{[]string{"224.0.0.0/4"}, "http://224.0.0.1", true},
	{[]string{"fd00:ec2::/32"}, "http://[fd00:ec2::254]", true},
	{[]string{"fd00:ec2::254/128"}, "http://[fd00:ec2::254]", true},

	// Special names.
	{[]string{"localhost:8080"}, "http://localhost:8080", true},
	{[]string{"localhost:8080"}, "http://localhost:8081", false},
	{[]string{"localhost:8080"}, "http://127.0.0.1:8080", false},
	{[]string{"127.0.0.0/8", "::1/128"}, "http://localhost:8080", true},
	{[]string{"127.0.0.0/8", "::1/128"}, "http://hello.localhost:8080", true},
	{[]string{"127.0.0.0/8", "::1/128"}, "http://localhost.example:8080", false},
	{[]string{"127.0.0.0/8", "::1/128"}, "http://hellolocalhost:8080", false},
	{[]string{"127.0.0.0/8"}, "http://localhost:8080", false}, // it may mean ::1
	{[]string{"::1/128"}, "http://localhost:8080", false},
	{[]string{"127.0.0.1:80", "[::1]:80"}, "http://localhost", true},
	{[]string{"*.localhost:80"}, "http://hello.localhost", true},
	{[]string{"*.localhost:80"}, "http://localhost", false},
	{[]string{"*.localdomain:80"}, "http://localhost.localdomain", false},
	{[]string{"localhost.localdomain:80"}, "http://localhost.localdomain", true},
	{[]string{"*.google.internal:80"}, "http://metadata.google.internal", false},
	{[]string{"*.google.internal:80"}, "http://skills.google.internal", true},
	{[]string{"metadata.google.internal:80"}, "http://metadata.google.internal", true},
	{[]string{"*.goog:80"}, "http://metadata.goog", false},
	{[]string{"*.ec2.internal:80"}, "http://instance-data.ec2.internal", false},
	{[]string{"*.ec2.internal:80"}, "http://ip-10-0-0-1.ec2.internal", true},

	// Entries that are none admit nothing and spoil nothing.
	{[]string{"", ":", "*", "*:80", "*.:80", "h", "h:", "h:x", "h:0", "10.0.0.0/33", "h:80"}, "http://h", true},
	{[]string{"", ":", "*", "*:80", "*.:80", "h", "h:", "h:x", "h:0", "10.0.0.0/33"}, "http://h", false},
	{[]string{"h:080"}, "http://h", false},
	{[]string{"10.20.0.1/16"}, "http://10.20.0.1", false},
}

func TestInvariant_A7_EndpointsMatchTheAllowList(t *testing.T) {
	t.Parallel()
	for _, tt := range rulesTable {
		e, err := Parse(tt.url)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.url, err)
			continue
		}
		if got := ParseRules(tt.list).Allow(e); got != tt.want {
			t.Errorf("the list %q admits %s: %t, want %t", tt.list, tt.url, got, tt.want)
		}
	}
}
