package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/setup"
)

// preparer brings objects of the store in line, and reports what it did. Under
// dryRun it only reads.
type preparer struct {
	conn   *conn
	token  string
	dryRun bool
	report *setup.Report
}

// object is something of the store that is read and written at one path.
type object struct {
	name    string // for the report
	path    string
	want    map[string]any                          // what it must say; other fields are none of our business
	keep    []string                                // fields that a write must repeat or lose
	view    func(got map[string]any) map[string]any // how it is read, when not as it is written
	secrets func() (map[string]string, error)       // written with want and never shown by the store
}

// object makes o say what it must. A write is read back, since the store
// accepts, and ignores, fields that it does not know.
func (p *preparer) object(ctx context.Context, o object) error {
	got, err := p.view(ctx, o)
	if err != nil {
		return fmt.Errorf("read %s: %w", o.name, err)
	}
	differing := differences(got, o.want)
	if len(differing) == 0 {
		p.report.Add(o.name, setup.Unchanged, "")
		return nil
	}
	action, detail := setup.Updated, describe(got, o.want, differing)
	if len(differences(got, blank(o.want))) == 0 { // absent, or the empty configuration of a new mount
		action, detail = setup.Created, ""
	}
	if !p.dryRun {
		if err := p.writeObject(ctx, o, got); err != nil {
			return fmt.Errorf("write %s: %w", o.name, err)
		}
	}
	p.report.Add(o.name, action, detail)
	return nil
}

func (p *preparer) view(ctx context.Context, o object) (map[string]any, error) {
	got, err := p.read(ctx, o.path)
	if err != nil || o.view == nil {
		return got, err
	}
	return o.view(got), nil
}

// writeObject writes o where got was, and sees that it stayed.
func (p *preparer) writeObject(ctx context.Context, o object, got map[string]any) error {
	body := maps.Clone(o.want)
	for _, key := range o.keep {
		if v, ok := got[key]; ok {
			body[key] = v
		}
	}
	var secrets []string
	if o.secrets != nil {
		more, err := o.secrets()
		if err != nil {
			return err
		}
		for key, v := range more {
			body[key] = v
			secrets = append(secrets, v)
		}
	}
	if err := p.write(ctx, o.path, body, secrets...); err != nil {
		return err
	}
	got, err := p.view(ctx, o)
	if err != nil {
		return fmt.Errorf("read it back: %w", err)
	}
	if lost := differences(got, o.want); len(lost) > 0 {
		return registry.Refused.Errorf(CodeRefused, "The secret store did not keep %s of %s.", strings.Join(lost, ", "), o.path)
	}
	return nil
}

// policy makes the ACL policy of that name say exactly text.
func (p *preparer) policy(ctx context.Context, name, text string) error {
	return p.object(ctx, object{
		name: "policy " + name, path: aclPath(name),
		want: map[string]any{"policy": text},
	})
}

func aclPath(policy string) string { return "sys/policies/acl/" + policy }

// authMount makes an auth mount of the type exist.
func (p *preparer) authMount(ctx context.Context, path, kind string) error {
	m, existed, err := p.mount(ctx, "sys/auth", path, map[string]any{"type": kind})
	if err != nil {
		return err
	}
	if existed && m.Type != kind {
		return otherMount("auth/"+path, m.Type, kind)
	}
	return nil
}

// kvMount makes a KV store of version 2 exist.
func (p *preparer) kvMount(ctx context.Context, path string) error {
	m, existed, err := p.mount(ctx, "sys/mounts", path, map[string]any{
		"type": "kv", "options": map[string]string{"version": "2"},
	})
	if err != nil {
		return err
	}
	if existed && (m.Type != "kv" || m.Options["version"] != "2") {
		return otherMount(path, m.Type+" "+m.Options["version"], "kv 2")
	}
	return nil
}

// mount reads, and makes when it is not there, the mount at path in the table
// sys/auth or sys/mounts. One that exists is reported as unchanged: whether it
// is the right one is the caller's question.
func (p *preparer) mount(ctx context.Context, table, path string, body map[string]any) (m mount, existed bool, err error) {
	name := "secrets mount " + path
	if table == "sys/auth" {
		name = "auth mount " + path
	}
	mounts, err := p.mounts(ctx, table)
	if err != nil {
		return mount{}, false, err
	}
	if m, existed = mounts[path+"/"]; existed {
		p.report.Add(name, setup.Unchanged, "")
		return m, true, nil
	}
	if err := p.write(ctx, table+"/"+path, body); err != nil {
		return mount{}, false, fmt.Errorf("make %s: %w", name, err)
	}
	p.report.Add(name, setup.Created, "")
	return mount{}, false, nil
}

func (p *preparer) mounts(ctx context.Context, table string) (map[string]mount, error) {
	data, err := p.read(ctx, table)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", table, err)
	}
	return mountsOf(data)
}

func otherMount(path, got, want string) error {
	return registry.Refused.Errorf(CodeRefused, "The secret store's mount %s is of type %s, not %s: name another one.", path, got, want)
}

// read returns what is at path, or nil.
func (p *preparer) read(ctx context.Context, path string) (map[string]any, error) {
	secret, err := p.conn.send(ctx, p.token, request{op: "setup_read", method: http.MethodGet, path: path})
	if err != nil || secret == nil {
		return nil, p.explain(err, path)
	}
	return secret.Data, nil
}

// write writes body to path, but not in a dry run. The secrets are what must
// not show in an error.
func (p *preparer) write(ctx context.Context, path string, body map[string]any, secrets ...string) error {
	if p.dryRun {
		return nil
	}
	_, err := p.conn.send(ctx, p.token, request{
		op: "setup_write", method: http.MethodPut, path: path, body: body, secrets: secrets,
	})
	return p.explain(err, path)
}

// explain says what an operator can do about a refusal. The message that the
// control plane's callers get would tell him to run what he is running.
func (p *preparer) explain(err error, path string) error {
	e, ok := registry.AsError(err)
	if !ok || e.Kind != registry.Refused {
		return err
	}
	told := *e
	told.Message = "The secret store refused " + path + "."
	switch {
	case statusOf(err) == http.StatusForbidden:
		told.Message = "The operator's token is unknown, or may not use " + path + " of the secret store."
	case strings.HasPrefix(path, "auth/") && strings.HasSuffix(path, "/config"):
		told.Message = "The secret store refused the JWT configuration; it must be able to fetch the JWKS URL now."
	}
	return &told
}

// differences names the fields of want that got does not have the same way. A
// missing field is the same as an empty one: that is how the store treats it.
func differences(got, want map[string]any) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(plain(got[key]), plain(want[key])) {
			keys = append(keys, key)
		}
	}
	return keys
}

// describe says what differs, for people: nothing of want is secret.
func describe(got, want map[string]any, keys []string) string {
	var parts []string
	for _, key := range keys {
		if text, ok := want[key].(string); ok && strings.Contains(text, "\n") {
			parts = append(parts, key+" differs")
			continue
		}
		parts = append(parts, fmt.Sprintf("%s: %s → %s", key, compact(got[key]), compact(want[key])))
	}
	return strings.Join(parts, ", ")
}

func compact(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(raw)
}

// plain is v as JSON would give it back, with empty values made nil.
func plain(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		return v
	}
	switch x := out.(type) {
	case string:
		if x == "" {
			return nil
		}
	case float64:
		if x == 0 {
			return nil
		}
	case bool:
		if !x {
			return nil
		}
	case map[string]any:
		if len(x) == 0 {
			return nil
		}
	case []any:
		if len(x) == 0 {
			return nil
		}
	}
	return out
}

// blank has the keys of m and says nothing.
func blank(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for key := range m {
		out[key] = nil
	}
	return out
}

// merge returns the fields of both, b's winning.
func merge(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a)+len(b))
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}
