package schema

import (
	"regexp"
	"time"
	_ "time/tzdata" // the zones are the same wherever we run
)

// zoneNames are what zones are called in the IANA database (theory.html, "Timezone
// identifiers"). A machine's directory of zones has other files too: its own time,
// and the same zones with leap seconds.
var zoneNames = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

// checkHours checks what of hours no schema can say.
func (d *document) checkHours(pointer string, hours map[string]any) {
	from, _ := hours["from"].(string)
	to, _ := hours["to"].(string)
	if from != "" && from == to {
		d.faults.add(pointer+"/to", "no_hours", "must differ from the time at which they begin; 00:00 to 24:00 is the whole day")
	}
	if name, ok := hours["timezone"].(string); ok && name != "" && !validZone(name) {
		d.faults.add(pointer+"/timezone", "unknown_timezone", "must be the name of a time zone in the IANA database, such as Europe/Berlin or UTC")
	}
}

// validZone reports whether there is such a zone. The clock of the machine is that
// of no place.
func validZone(name string) bool {
	if name == "Local" || !zoneNames.MatchString(name) {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}
