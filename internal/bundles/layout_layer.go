package bundles

import (
	"slices"
	"strconv"

	"github.com/credenceproject/credence/internal/registry"
)

// layerRecord is a layer, from layout 3 on. What it lacks, policy takes for a layer
// that is missing: nothing is left out.
type layerRecord struct {
	Deny     []ruleRecord   `json:"deny"`
	Allow    []ruleRecord   `json:"allow"`
	Required bool           `json:"required"`
	Rego     bool           `json:"rego"` // there is to be a module of the layer's own
	Ceiling  *ceilingRecord `json:"ceiling"`
}

type ruleRecord struct {
	Code string     `json:"code"`
	When whenRecord `json:"when"`
}

// whenRecord has the conditions that are listed: one that is nil is not there, and
// one that is empty is, and never holds. Lists are sorted.
type whenRecord struct {
	Resources          []string                `json:"resources,omitzero"`
	ResourceTypes      []registry.ResourceType `json:"resource_types,omitzero"`
	Methods            []string                `json:"methods,omitzero"`
	Environments       []string                `json:"environments,omitzero"`
	DataClassification []string                `json:"data_classification,omitzero"`
	Permissions        []string                `json:"permissions,omitzero"`
	AgentTypes         []string                `json:"agent_types,omitzero"`
	OutsideHours       *hoursRecord            `json:"outside_hours,omitzero"`
}

type hoursRecord struct {
	From     *int     `json:"from"` // minutes since midnight; null, where it is no time, denies
	To       *int     `json:"to"`
	Days     []string `json:"days"` // from Monday on, by the names that Rego has for them; null the same
	Timezone string   `json:"timezone"`
}

// ceilingRecord bounds with a list, and with null does not.
type ceilingRecord struct {
	Permissions        []string `json:"permissions"`
	DataClassification []string `json:"data_classification"`
}

// Layer returns what policy reads of a layer, beside a module of its own where it
// has one. Layout 2 has no layers.
func Layer(l registry.LayerFacts) any {
	record := layerRecord{Deny: []ruleRecord{}, Allow: []ruleRecord{}, Required: l.Required, Rego: l.Rego != ""}
	for _, r := range l.Rules {
		rule := ruleRecord{Code: r.Code, When: when(r.When)}
		if r.Effect == registry.Allow {
			record.Allow = append(record.Allow, rule)
		} else { // nothing grants by an effect that we do not know
			record.Deny = append(record.Deny, rule)
		}
	}
	if c := l.Ceiling; c != nil {
		record.Ceiling = &ceilingRecord{Permissions: listed(c.Permissions), DataClassification: listed(c.DataClassification)}
	}
	return record
}

func when(c registry.Conditions) whenRecord {
	record := whenRecord{
		Resources: listed(c.Resources), ResourceTypes: listed(c.ResourceTypes), Methods: listed(c.Methods),
		Environments: listed(c.Environments), DataClassification: listed(c.DataClassification),
		Permissions: listed(c.Permissions), AgentTypes: listed(c.AgentTypes),
	}
	if h := c.OutsideHours; h != nil {
		record.OutsideHours = &hoursRecord{From: minuteOf(h.From), To: minuteOf(h.To), Days: weekdays(h.Days), Timezone: h.Timezone}
		if h.Timezone == "" {
			record.OutsideHours.Timezone = "UTC"
		}
	}
	return record
}

// listed is s as a set, sorted. nil stays nil: it is not the empty set.
func listed[S ~string](s []S) []S {
	if s == nil {
		return nil
	}
	s = append([]S{}, s...)
	slices.Sort(s)
	return slices.Compact(s)
}

// minuteOf is the time of the day HH:MM, to 24:00, in minutes since midnight, or nil
// when it is none.
func minuteOf(s string) *int {
	if len(s) != len("HH:MM") || s[2] != ':' {
		return nil
	}
	hour, err := strconv.ParseUint(s[:2], 10, 8)
	if err != nil || hour > 24 {
		return nil
	}
	minute, err := strconv.ParseUint(s[3:], 10, 8)
	if err != nil || minute > 59 || hour == 24 && minute > 0 {
		return nil
	}
	m := int(hour*60 + minute)
	return &m
}

// week is the week, each day by the name that documents have for it and by that of
// Rego's.
var week = [][2]string{
	{"mon", "Monday"}, {"tue", "Tuesday"}, {"wed", "Wednesday"}, {"thu", "Thursday"}, {"fri", "Friday"}, {"sat", "Saturday"}, {"sun", "Sunday"},
}

// weekdays are the days by Rego's names: all when none is listed, and nil when one is
// no day.
func weekdays(days []string) []string {
	names, known := make([]string, 0, len(week)), 0
	for _, day := range week {
		if len(days) == 0 || slices.Contains(days, day[0]) {
			names = append(names, day[1])
			known++
		}
	}
	if len(days) > 0 && known < len(listed(days)) {
		return nil
	}
	return names
}
