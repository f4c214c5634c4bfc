package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"

	"go.yaml.in/yaml/v3"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

// yamlToJSON returns the JSON document that one YAML document stands for. What
// JSON has no word for is refused, not guessed at: a second document, aliases and
// merge keys, keys that are not strings, tags of one's own, infinity. A key twice
// in a mapping is left to strictjson.
//
// It returns Malformed (invalid_yaml), with the line.
func yamlToJSON(data []byte) ([]byte, error) {
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, registry.Malformed.Errorf("invalid_yaml", "the document is empty")
	case err != nil:
		return nil, registry.Malformed.Wrap(err, "invalid_yaml", "this is not YAML")
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, registry.Malformed.Errorf("invalid_yaml", "there is more than one document")
	}
	var c yamlConverter
	if err := c.node(&doc, 0); err != nil {
		return nil, err
	}
	return c.out.Bytes(), nil
}

type yamlConverter struct{ out bytes.Buffer }

func (c *yamlConverter) node(n *yaml.Node, depth int) error {
	if depth > strictjson.MaxDepth+1 { // the document itself is a node
		return yamlFault(n, "the document is nested more than %d deep", strictjson.MaxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return c.node(n.Content[0], depth+1)
	case yaml.MappingNode:
		return c.mapping(n, depth)
	case yaml.SequenceNode:
		return c.sequence(n, depth)
	case yaml.ScalarNode:
		return c.scalar(n)
	case yaml.AliasNode:
		return yamlFault(n, "aliases are not read; write the value again")
	}
	return yamlFault(n, "this cannot be read")
}

func (c *yamlConverter) mapping(n *yaml.Node, depth int) error {
	if n.ShortTag() != "!!map" {
		return yamlFault(n, "the tag %s is not read", n.Tag)
	}
	c.out.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			return yamlFault(key, "a key must be a string; put it in quotes if it is meant as one")
		}
		if i > 0 {
			c.out.WriteByte(',')
		}
		c.out.Write(mustJSON(key.Value))
		c.out.WriteByte(':')
		if err := c.node(n.Content[i+1], depth+1); err != nil {
			return err
		}
	}
	c.out.WriteByte('}')
	return nil
}

func (c *yamlConverter) sequence(n *yaml.Node, depth int) error {
	if n.ShortTag() != "!!seq" {
		return yamlFault(n, "the tag %s is not read", n.Tag)
	}
	c.out.WriteByte('[')
	for i, item := range n.Content {
		if i > 0 {
			c.out.WriteByte(',')
		}
		if err := c.node(item, depth+1); err != nil {
			return err
		}
	}
	c.out.WriteByte(']')
	return nil
}

func (c *yamlConverter) scalar(n *yaml.Node) error {
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp": // JSON has no times: the text is what was meant
		c.out.Write(mustJSON(n.Value))
	case "!!null":
		c.out.WriteString("null")
	case "!!bool":
		var v bool
		if err := n.Decode(&v); err != nil {
			return yamlFault(n, "%q is not a truth value", n.Value)
		}
		c.out.Write(mustJSON(v))
	case "!!int", "!!float":
		return c.number(n)
	default:
		return yamlFault(n, "the tag %s is not read", tag)
	}
	return nil
}

// number keeps a number's own digits where JSON reads them too.
func (c *yamlConverter) number(n *yaml.Node) error {
	var number json.Number
	if json.Unmarshal([]byte(n.Value), &number) == nil && number.String() == n.Value {
		c.out.WriteString(n.Value)
		return nil
	}
	var whole int64
	if n.ShortTag() == "!!int" && n.Decode(&whole) == nil {
		c.out.Write(mustJSON(whole))
		return nil
	}
	var float float64
	if n.ShortTag() == "!!float" && n.Decode(&float) == nil && !math.IsInf(float, 0) && !math.IsNaN(float) {
		c.out.Write(mustJSON(float))
		return nil
	}
	return yamlFault(n, "%q is no number that JSON has", n.Value)
}

func yamlFault(n *yaml.Node, format string, args ...any) error {
	return registry.Malformed.Errorf("invalid_yaml", "line %d: "+format, append([]any{n.Line}, args...)...)
}
