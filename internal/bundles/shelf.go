package bundles

import (
	"fmt"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// shelf keeps the shards of one map packed: a shard that is the one it was is not
// packed again. It is not safe for concurrent use.
type shelf[V any] struct {
	layout int64 // that the shards are packed in
	shards [snapshot.Shards]packedShard[V]
}

// packedShard is a shard and the member that it was packed into.
type packedShard[V any] struct {
	shard  *snapshot.Shard[V]
	member *member
}

// span is a range of shards: from first to before end.
type span struct{ first, end int }

var allShards = span{0, snapshot.Shards}

// take appends the files of the map's shards in the span, at dir/<shard>/data.json.
// An empty shard is no file.
func (s *shelf[V]) take(p *packer, to []*member, of *snapshot.Map[V], in span, layout int64, dir string, record func(V) any) ([]*member, error) {
	if s.layout != layout {
		*s = shelf[V]{layout: layout}
	}
	for i := in.first; i < in.end; i++ {
		last, shard := &s.shards[i], of.Shard(i)
		if shard.Len() == 0 {
			*last = packedShard[V]{}
			continue
		}
		if last.shard != shard {
			m, err := p.document(fmt.Sprintf("%s/%02x/data.json", dir, i), documentOf(shard, record))
			if err != nil {
				return nil, err
			}
			*last = packedShard[V]{shard, m}
		}
		to = append(to, last.member)
	}
	return to, nil
}

// documentOf is a shard's document: records by key.
func documentOf[V any](s *snapshot.Shard[V], record func(V) any) map[string]any {
	records := make(map[string]any, s.Len())
	for key, v := range s.All() {
		records[key] = record(v)
	}
	return records
}

// listShelf does the same for a list, which is one file.
type listShelf struct {
	layers []registry.LayerFacts
	member *member
}

// take appends the file of the layers, which is none where there are none.
func (s *listShelf) take(p *packer, to []*member, layers []registry.LayerFacts, path string, record func(registry.LayerFacts) any) ([]*member, error) {
	if len(layers) == 0 {
		*s = listShelf{}
		return to, nil
	}
	if len(s.layers) != len(layers) || &s.layers[0] != &layers[0] { // lists do not change; a changed one is another
		records := make(map[string]any, len(layers))
		for _, l := range layers {
			records[l.ID] = record(l)
		}
		m, err := p.document(path, records)
		if err != nil {
			return nil, err
		}
		*s = listShelf{layers, m}
	}
	return append(to, s.member), nil
}
