package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"

	"github.com/credenceproject/credence/internal/registry"
)

// integer decodes what JSON Schema calls an integer: 10, but 1e1 and 10.0 too.
type integer int64

func (i *integer) UnmarshalJSON(data []byte) error {
	if n, err := strconv.ParseInt(string(data), 10, 64); err == nil {
		*i = integer(n)
		return nil
	}
	r, ok := new(big.Rat).SetString(string(data))
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return fmt.Errorf("%s is no integer of 64 bits", data)
	}
	*i = integer(r.Num().Int64())
	return nil
}

type quotaDocument struct {
	RequestsPerSecond *integer `json:"requests_per_second"`
	RequestsPerDay    *integer `json:"requests_per_day"`
}

func (q quotaDocument) quota() registry.Quota {
	return registry.Quota{
		RequestsPerSecond: (*int64)(q.RequestsPerSecond),
		RequestsPerDay:    (*int64)(q.RequestsPerDay),
	}
}

type capabilityDocument struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Input       json.RawMessage `json:"input"`
	Output      json.RawMessage `json:"output"`
}

func (c capabilityDocument) capability() registry.Capability {
	return registry.Capability(c)
}

// orEmpty turns a list that was not sent into an empty one.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
