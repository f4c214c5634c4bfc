package snapshot_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/snapshot"
)

func TestMapEqualsAPlainMapWhateverIsDone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			m    *snapshot.Map[int]
			want map[string]int
		}
		keys := rapid.StringMatching(`[a-d]{1,3}`)
		versions := []version{{&snapshot.Map[int]{}, map[string]int{}}}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now := versions[len(versions)-1]
			key := keys.Draw(t, "key")
			next := version{now.m.Without(key), maps.Clone(now.want)}
			delete(next.want, key)
			if rapid.Bool().Draw(t, "with") {
				value := rapid.Int().Draw(t, "value")
				next.m, next.want[key] = now.m.With(key, value), value
			}
			checkShared(t, now.m, next.m, key)
			versions = append(versions, next)
		}
		for _, v := range versions { // the old ones too: no change may show in them
			checkMap(t, v.m, v.want)
		}
	})
}

// checkShared says that nothing but the shard of the key is another one.
func checkShared(t *rapid.T, before, after *snapshot.Map[int], key string) {
	t.Helper()
	for i := range snapshot.Shards {
		if i != snapshot.ShardOf(key) && before.Shard(i) != after.Shard(i) {
			t.Fatalf("a change of %q, of shard %d, made a new shard %d", key, snapshot.ShardOf(key), i)
		}
	}
}

func checkMap(t *rapid.T, m *snapshot.Map[int], want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, maps.Collect(m.All())); diff != "" {
		t.Fatalf("All() (-want +got):\n%s", diff)
	}
	inShards := map[string]int{}
	for i := range snapshot.Shards {
		for k, v := range m.Shard(i).All() {
			if snapshot.ShardOf(k) != i {
				t.Fatalf("%q is in shard %d, not in %d", k, i, snapshot.ShardOf(k))
			}
			inShards[k] = v
		}
	}
	if diff := cmp.Diff(want, inShards); diff != "" {
		t.Fatalf("shards (-want +got):\n%s", diff)
	}
	if m.Len() != len(want) {
		t.Fatalf("Len() = %d, want %d", m.Len(), len(want))
	}
	for k, v := range want {
		if got, ok := m.Get(k); !ok || got != v {
			t.Fatalf("Get(%q) = %d, %t; want %d", k, got, ok, v)
		}
	}
	if _, ok := m.Get("none"); ok {
		t.Fatal("Get() of a key that was never there found something")
	}
}

// The number is part of the data layout: policy computes it in Rego.
func TestShardOfIsTheFirstByteOfTheDigest(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int{"": 0xe3, "abc": 0xba} { // FIPS 180-4 examples
		if got := snapshot.ShardOf(key); got != want {
			t.Errorf("ShardOf(%q) = %#x, want %#x", key, got, want)
		}
	}
}
