package bundles

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// A packer that has packed other things before must pack as a new one does.
func TestAMemberDoesNotDependOnWhatWasPackedBefore(t *testing.T) {
	t.Parallel()
	var used packer
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{`"team":"support",`, `"suspended":false,`, "a", "{}", "0197c000-0000-7000-8000-", "\x00\xff"})
		content := bytes.Repeat([]byte(word.Draw(t, "much of")), rapid.IntRange(0, 20_000).Draw(t, "times"))
		for range rapid.IntRange(0, 50).Draw(t, "words") {
			content = append(content, word.Draw(t, "word")...)
		}
		path := "registry/agents/" + rapid.StringMatching(`[0-9a-f]{2}`).Draw(t, "shard") + "/data.json"
		got, err := used.file(path, content)
		if err != nil {
			t.Fatal(err)
		}
		want, err := new(packer).file(path, content)
		if err != nil {
			t.Fatal(err)
		}
		if !sameFile(want, got) {
			t.Fatalf("%d bytes from a used packer, %d others from a new one", len(got.packed), len(want.packed))
		}
	})
}

// sameFile reports whether two members are equal.
func sameFile(a, b *member) bool {
	return a.path == b.path && a.hash == b.hash && bytes.Equal(a.packed, b.packed)
}
