package policies

import (
	"slices"
	"time"
	_ "time/tzdata" // the zones are the same wherever we run

	"github.com/credenceproject/credence/internal/registry"
)

// hours are times of the week by the clock of a place.
type hours struct {
	place    *time.Location // nil: it is not known
	from, to int            // minutes of the day
	on       [7]bool        // the days on which they begin, by Go's numbers
}

var days = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// hoursOf reads h, which the schema has let by.
func hoursOf(h registry.Hours) hours {
	read := hours{from: minutes(h.From), to: minutes(h.To)}
	if place, err := time.LoadLocation(h.Timezone); err == nil { // "" is UTC
		read.place = place
	}
	for i, day := range days {
		read.on[i] = len(h.Days) == 0 || slices.Contains(h.Days, day)
	}
	return read
}

// minutes are those of a time of the day, HH:MM, since midnight.
func minutes(text string) int {
	if text == "24:00" {
		return 24 * 60
	}
	at, err := time.Parse("15:04", text)
	if err != nil {
		return 0
	}
	return at.Hour()*60 + at.Minute()
}

// outside reports whether a rule that denies outside of the hours does so at that
// time: where the place's clock cannot be told, it does.
func (h hours) outside(at time.Time) bool {
	if h.place == nil {
		return true
	}
	local := at.In(h.place)
	now, today := local.Hour()*60+local.Minute(), local.Weekday()
	if h.from < h.to {
		return !h.on[today] || now < h.from || now >= h.to
	}
	yesterday := (today + 6) % 7
	return (!h.on[today] || now < h.from) && (!h.on[yesterday] || now >= h.to) // they span midnight
}

// weeks are two between which clocks were put forward or back wherever they are.
var weeks = []time.Time{time.Date(2024, time.January, 8, 0, 0, 0, 0, time.UTC), time.Date(2024, time.July, 8, 0, 0, 0, 0, time.UTC)}

// beginnings are the times of the weeks at which the hours begin.
func (h hours) beginnings() []time.Time {
	if h.place == nil {
		return nil
	}
	var all []time.Time
	for _, week := range weeks {
		for day := range 7 {
			date := week.AddDate(0, 0, day)
			if h.on[date.Weekday()] {
				all = append(all, time.Date(date.Year(), date.Month(), date.Day(), h.from/60, h.from%60, 0, 0, h.place))
			}
		}
	}
	return all
}
