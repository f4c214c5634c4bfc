package mcp.hours_test

import data.mcp.hours

every_day := ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

working_days := ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]

office := {"from": 540, "to": 1020, "days": working_days, "timezone": "Europe/Berlin"}

night := {"from": 1320, "to": 360, "days": ["Friday"], "timezone": "UTC"}

# Moments are written with the offset that the place has at them.
rows["office"] := {
	"hours": office, "inside": {
		"2023-11-14T09:00:00+01:00",
		"2023-11-14T12:00:00+01:00",
		"2023-11-14T16:59:59.999999999+01:00",
		"2023-11-13T09:00:00+01:00",
		"2023-11-17T16:59:00+01:00",
	},
	"outside": {
		"2023-11-14T08:59:59.999999999+01:00",
		"2023-11-14T17:00:00+01:00",
		"2023-11-14T00:00:00+01:00",
		"2023-11-14T23:59:59+01:00",
		"2023-11-18T12:00:00+01:00",
		"2023-11-19T12:00:00+01:00",
		"2023-11-14T16:30:00Z",
	},
}

# They belong to the day on which they begin: Friday, the 17th.
rows["over midnight"] := {
	"hours": night, "inside": {
		"2023-11-17T22:00:00Z",
		"2023-11-17T23:59:59Z",
		"2023-11-18T00:00:00Z",
		"2023-11-18T05:59:59.999999999Z",
	},
	"outside": {
		"2023-11-17T21:59:59.999999999Z",
		"2023-11-18T06:00:00Z",
		"2023-11-18T22:00:00Z",
		"2023-11-17T05:59:59Z",
		"2023-11-17T00:00:00Z",
		"2023-11-19T01:00:00Z",
		"2023-11-16T23:00:00Z",
	},
}

rows[sprintf("over the midnight after %s", [day])] := {
	"hours": object.union(night, {"days": [day]}),
	"inside": {sprintf("2023-11-%dT23:00:00Z", [13 + i]), sprintf("2023-11-%dT05:00:00Z", [14 + i])},
	"outside": {sprintf("2023-11-%dT05:00:00Z", [13 + i]), sprintf("2023-11-%dT23:00:00Z", [14 + i])},
} if {
	some i, day in every_day
}

rows["until midnight"] := {
	"hours": {"from": 1320, "to": 1440, "days": ["Friday"], "timezone": "UTC"},
	"inside": {"2023-11-17T22:00:00Z", "2023-11-17T23:59:59.999999999Z"},
	"outside": {"2023-11-18T00:00:00Z", "2023-11-17T00:00:00Z", "2023-11-17T21:59:00Z"},
}

rows["until the midnight that begins the next day"] := {
	"hours": {"from": 1320, "to": 0, "days": ["Friday"], "timezone": "UTC"},
	"inside": {"2023-11-17T22:00:00Z", "2023-11-17T23:59:59.999999999Z"},
	"outside": {"2023-11-18T00:00:00Z", "2023-11-17T00:00:00Z", "2023-11-17T21:59:00Z"},
}

rows["the whole day"] := {
	"hours": {"from": 0, "to": 1440, "days": ["Friday"], "timezone": "UTC"},
	"inside": {"2023-11-17T00:00:00Z", "2023-11-17T23:59:59.999999999Z"},
	"outside": {"2023-11-16T23:59:59.999999999Z", "2023-11-18T00:00:00Z"},
}

rows["one minute"] := {
	"hours": {"from": 720, "to": 721, "days": every_day, "timezone": "UTC"},
	"inside": {"2023-11-17T12:00:00Z", "2023-11-17T12:00:59.999999999Z"},
	"outside": {"2023-11-17T11:59:59.999999999Z", "2023-11-17T12:01:00Z"},
}

rows["all but one minute"] := {
	"hours": {"from": 721, "to": 720, "days": every_day, "timezone": "UTC"},
	"inside": {"2023-11-17T11:59:59.999999999Z", "2023-11-17T12:01:00Z"},
	"outside": {"2023-11-17T12:00:00Z", "2023-11-17T12:00:59.999999999Z"},
}

# On 26 March 2023 it is 03:00 in Berlin when it would be 02:00.
rows["the hour that a spring day lacks"] := {
	"hours": {"from": 120, "to": 180, "days": ["Sunday"], "timezone": "Europe/Berlin"},
	"inside": {"2023-03-19T02:30:00+01:00"},
	"outside": {"2023-03-26T01:59:59+01:00", "2023-03-26T03:00:00+02:00", "2023-03-26T01:30:00Z"},
}

rows["from within the hour that a spring day lacks"] := {
	"hours": {"from": 150, "to": 240, "days": ["Sunday"], "timezone": "Europe/Berlin"},
	"inside": {"2023-03-26T03:00:00+02:00", "2023-03-26T03:59:59+02:00"},
	"outside": {"2023-03-26T01:59:59+01:00", "2023-03-26T04:00:00+02:00"},
}

# On 29 October 2023 the clock of Berlin shows the hour from 02:00 to 03:00 twice.
rows["the hour that an autumn day has twice"] := {
	"hours": {"from": 120, "to": 180, "days": ["Sunday"], "timezone": "Europe/Berlin"},
	"inside": {"2023-10-29T02:00:00+02:00", "2023-10-29T02:59:59+02:00", "2023-10-29T02:00:00+01:00", "2023-10-29T02:59:59+01:00"},
	"outside": {"2023-10-29T01:59:59+02:00", "2023-10-29T03:00:00+01:00"},
}

rows["over the midnight of a spring day"] := {
	"hours": {"from": 1380, "to": 180, "days": ["Saturday"], "timezone": "Europe/Berlin"},
	"inside": {"2023-03-25T23:00:00+01:00", "2023-03-26T01:59:59+01:00"},
	"outside": {"2023-03-26T03:00:00+02:00", "2023-03-26T23:30:00+02:00"},
}

# The day is the place's too.
rows["where the day is another one"] := {
	"hours": {"from": 0, "to": 60, "days": ["Wednesday"], "timezone": "Pacific/Kiritimati"},
	"inside": {"2023-11-14T10:00:00Z", "2023-11-14T10:59:59Z"},
	"outside": {"2023-11-14T09:59:59Z", "2023-11-14T11:00:00Z", "2023-11-15T10:00:00Z"},
}

rows["where minutes are others"] := {
	"hours": {"from": 540, "to": 600, "days": every_day, "timezone": "Asia/Kathmandu"},
	"inside": {"2023-11-14T03:15:00Z", "2023-11-14T04:14:59Z"},
	"outside": {"2023-11-14T03:14:59Z", "2023-11-14T04:15:00Z"},
}

test_inside_and_not_outside[name] if {
	some name, row in rows
	hours.sound(row.hours)
	every moment in row.inside {
		now := time.parse_rfc3339_ns(moment)
		hours.inside(row.hours) with time.now_ns as now
		not outside_at(row.hours, now)
	}
}

test_outside_and_not_inside[name] if {
	some name, row in rows
	every moment in row.outside {
		now := time.parse_rfc3339_ns(moment)
		hours.outside(row.hours) with time.now_ns as now
		not inside_at(row.hours, now)
	}
}

inside_at(h, now) if hours.inside(h) with time.now_ns as now

outside_at(h, now) if hours.outside(h) with time.now_ns as now

unsound := {
	"null": null,
	"text": "09:00-17:00",
	"a list": [540, 1020],
	"none": {},
	"times as text": object.union(office, {"from": "09:00", "to": "17:00"}),
	"from null": object.union(office, {"from": null}),
	"to null": object.union(office, {"to": null}),
	"from before the day": object.union(office, {"from": -1}),
	"from after the day": object.union(office, {"from": 1440}),
	"to after the day": object.union(office, {"to": 1441}),
	"a fraction of a minute": object.union(office, {"from": 540.5}),
	"a fraction at the end": object.union(office, {"to": 1020.5}),
	"no time between": object.union(office, {"from": 1020}),
	"days null": object.union(office, {"days": null}),
	"no days": object.union(office, {"days": []}),
	"one day": object.union(office, {"days": "Monday"}),
	"days in short": object.union(office, {"days": ["mon"]}),
	"days by number": object.union(office, {"days": [1]}),
	"days as an object": object.union(office, {"days": {"Monday": true}}),
	"no such day": object.union(office, {"days": ["Monday", "Funday"]}),
	"a zone that is null": object.union(office, {"timezone": null}),
	"a zone by number": object.union(office, {"timezone": 1}),
	"no zone": object.union(office, {"timezone": ""}),
	"the zone of the machine": object.union(office, {"timezone": "Local"}),
	"another field": object.union(office, {"except": ["Monday"]}),
}

test_unsound[name] if {
	some name, h in object.union(unsound, {concat(" ", ["without", field]): object.remove(office, [field]) | some field, _ in office})
	not hours.sound(h)
}
