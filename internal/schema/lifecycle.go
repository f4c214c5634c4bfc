package schema

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/keyset"
	"github.com/credenceproject/credence/internal/registry"
)

// Switch is why an agent is suspended or resumed.
type Switch struct {
	Reason       string `json:"reason"`
	RevokeTokens bool   `json:"revoke_tokens"`
}

// Transfer is to whom an agent goes, and why.
type Transfer struct {
	Team   string `json:"team"`
	Owner  string `json:"owner"`
	Reason string `json:"reason"`
}

// Rotation asks for new credentials. The zero Rotation asks for a secret that does
// not expire.
type Rotation struct {
	Keys         json.RawMessage // a JWK Set as package keyset writes it; nil: none were sent
	ExpiresAt    time.Time       // in UTC, to the microsecond; zero: never
	RevokeTokens bool
}

// Switch checks and decodes why an agent is suspended or resumed. It returns
// Invalid (invalid_switch) with every fault.
func (v *Validator) Switch(data []byte) (Switch, error) {
	d, err := v.read(agentSwitch, data)
	if err != nil {
		return Switch{}, err
	}
	d.checkReason()
	var s Switch
	err = d.finish("invalid_switch", "request", &s)
	return s, err
}

// Transfer checks and decodes to whom an agent goes. It returns Invalid
// (invalid_transfer) with every fault.
func (v *Validator) Transfer(data []byte) (Transfer, error) {
	d, err := v.read(agentTransfer, data)
	if err != nil {
		return Transfer{}, err
	}
	d.checkReason()
	var t Transfer
	err = d.finish("invalid_transfer", "transfer", &t)
	return t, err
}

// Rotation checks and decodes what credentials an agent is to get; no data is the
// zero Rotation. What expires does so after now. It returns Invalid
// (invalid_rotation) with every fault.
func (v *Validator) Rotation(data []byte, now time.Time) (Rotation, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return Rotation{}, nil
	}
	d, err := v.read(agentRotation, data)
	if err != nil {
		return Rotation{}, err
	}
	expiry := []string{"credentials_expire_at"}
	d.checkTimes(expiry, expiry, now)
	d.checkKeys()
	var sent struct {
		ExpiresAt    time.Time `json:"credentials_expire_at"`
		RevokeTokens bool      `json:"revoke_tokens"`
	}
	if err := d.finish("invalid_rotation", "rotation", &sent); err != nil {
		return Rotation{}, err
	}
	return Rotation{Keys: d.keys, ExpiresAt: instant(sent.ExpiresAt), RevokeTokens: sent.RevokeTokens}, nil
}

// DriftRepair checks which agent is to be repaired, by name or id; "" is all that
// differ, as is no data. It returns Invalid (invalid_repair) with every fault.
func (v *Validator) DriftRepair(data []byte) (agent string, err error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return "", nil
	}
	d, err := v.read(driftRepair, data)
	if err != nil {
		return "", err
	}
	if ref, ok := d.fields["agent"].(string); ok && !registry.ValidName(ref) && !registry.IsUUID(ref) {
		d.faults.add("/agent", "invalid_name", "must be an agent's name or id")
	}
	var sent struct{ Agent string }
	err = d.finish("invalid_repair", "request", &sent)
	return sent.Agent, err
}

// checkReason checks that the reason tells something.
func (d *document) checkReason() {
	if reason, ok := d.fields["reason"].(string); ok && reason != "" && strings.TrimSpace(reason) == "" {
		d.faults.add("/reason", "blank", "must say why")
	}
}

// checkTimes checks that the fields, where they were sent, are times of RFC 3339,
// and that those of ahead are after now.
func (d *document) checkTimes(fields, ahead []string, now time.Time) {
	for _, field := range fields {
		text, ok := d.fields[field].(string)
		if !ok {
			continue // not sent, or a fault already
		}
		at, err := time.Parse(time.RFC3339, text)
		switch {
		case err != nil:
			d.faults.add("/"+field, "format", "must be a time as in RFC 3339, such as 2026-03-01T12:00:00Z")
		case at.Year() < 1 || at.Year() > maxYear:
			d.faults.add("/"+field, "format", "must lie before the year %d", maxYear+1)
		case slices.Contains(ahead, field) && !at.After(now):
			d.faults.add("/"+field, "not_in_future", "must lie in the future; it is %s now", now.UTC().Format(time.RFC3339))
		}
	}
}

// maxYear is the last that every system an agent's times reach can hold.
const maxYear = 9998

// checkAuthentication checks that keys come with the method that uses them, and no
// others.
func (d *document) checkAuthentication() {
	_, keys := d.fields["jwks"]
	switch method := d.fields["authentication"]; {
	case method == string(registry.PrivateKeyJWT) && !keys:
		d.faults.add("/jwks", "required", "is required with private_key_jwt")
	case keys && method != string(registry.PrivateKeyJWT):
		d.faults.add("/jwks", "not_allowed", "goes with private_key_jwt only")
	default:
		d.checkKeys()
	}
}

// checkKeys checks that the keys, where they were sent, are public ones that are
// strong enough, and keeps them.
func (d *document) checkKeys() {
	raw, sent := d.raw["jwks"]
	if !sent {
		return
	}
	set, err := keyset.Parse(raw)
	if err == nil {
		d.keys, err = json.Marshal(set)
	}
	if e, ok := registry.AsError(err); ok {
		d.faults.addBelow("/jwks", e.Fields)
	} else if err != nil {
		d.faults.add("/jwks", "invalid_keys", "cannot be used")
	}
}

// instant is t as the registry keeps it.
func instant(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
