package decide

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// days are the days of the week by Go's numbers.
var days = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// soundHours reports whether h are times of the week by the clock of a place.
func soundHours(h registry.Hours) bool {
	from, okFrom := minuteOf(h.From)
	to, okTo := minuteOf(h.To)
	return okFrom && okTo && from < dayEnd && from != to && h.Timezone != "Local" &&
		!slices.ContainsFunc(h.Days, func(day string) bool { return !slices.Contains(days[:], day) })
}

const dayEnd = 24 * 60

// minuteOf reads a time of the day, HH:MM, as minutes since midnight.
func minuteOf(s string) (int, bool) {
	if len(s) != len("HH:MM") || s[2] != ':' {
		return 0, false
	}
	hour, errHour := strconv.ParseUint(s[:2], 10, 8)
	minute, errMinute := strconv.ParseUint(s[3:], 10, 8)
	if errHour != nil || errMinute != nil || minute > 59 || hour > 24 || hour == 24 && minute > 0 {
		return 0, false
	}
	return int(hour*60 + minute), true
}

// outside tells whether the moment, in nanoseconds since 1970, is outside of sound
// hours: by the wall clock of their place, unknown where there is none.
func (p *places) outside(h registry.Hours, now int64) truth {
	place := p.of(h.Timezone)
	if place == nil {
		return unknown
	}
	local := time.Unix(0, now).In(place)
	hour, minute, _ := local.Clock()
	at := hour*60 + minute
	from, _ := minuteOf(h.From)
	to, _ := minuteOf(h.To)
	today, yesterday := begins(h, local.Weekday()), begins(h, (local.Weekday()+6)%7)
	var inside bool
	if from < to {
		inside = today && from <= at && at < to
	} else {
		inside = today && from <= at || yesterday && at < to // those span midnight
	}
	if inside {
		return fails
	}
	return holds
}

// begins reports whether h begin on that day.
func begins(h registry.Hours, day time.Weekday) bool {
	return len(h.Days) == 0 || slices.Contains(h.Days, days[day])
}

// places are the zones that were looked up so far: reading one takes as long as many
// decisions. It is safe for concurrent use.
type places struct{ known sync.Map } // from string to *time.Location, nil where there is none

func (p *places) of(zone string) *time.Location {
	if zone == "" || zone == "UTC" {
		return time.UTC
	}
	if place, ok := p.known.Load(zone); ok {
		return place.(*time.Location)
	}
	place, err := time.LoadLocation(zone)
	if err != nil {
		place = nil
	}
	p.known.Store(zone, place)
	return place
}
