# Times of the week, by the wall clock of a place. Where that clock cannot be told,
# a moment is neither inside nor outside.
package mcp.hours

# Hours span midnight where they end earlier than they begin, and then belong to
# the day on which they begin.
inside(hours) if {
	hours.from < hours.to
	now := local(hours.timezone)
	now.day in hours.days
	hours.from <= now.minute
	now.minute < hours.to
}

inside(hours) if {
	hours.from > hours.to
	now := local(hours.timezone)
	now.day in hours.days
	hours.from <= now.minute
}

inside(hours) if {
	hours.from > hours.to
	now := local(hours.timezone)
	day_before[now.day] in hours.days
	now.minute < hours.to
}

outside(hours) if {
	local(hours.timezone)
	not inside(hours)
}

# Minutes are whole, so that seconds change nothing.
local(timezone) := {"day": time.weekday([now, timezone]), "minute": (hour * 60) + minute} if {
	now := time.now_ns()
	[hour, minute, _] := time.clock([now, timezone])
}

day_before := {
	"Monday": "Sunday",
	"Tuesday": "Monday",
	"Wednesday": "Tuesday",
	"Thursday": "Wednesday",
	"Friday": "Thursday",
	"Saturday": "Friday",
	"Sunday": "Saturday",
}

sound(hours) if {
	is_object(hours)
	object.keys(hours) == {"from", "to", "days", "timezone"}
	is_minute(hours.from, 1439)
	is_minute(hours.to, 1440)
	hours.from != hours.to
	is_array(hours.days)
	count(hours.days) > 0
	every day in hours.days {
		day_before[day]
	}
	is_string(hours.timezone)

	# The clock of the machine is that of no place.
	not hours.timezone in {"", "Local"}
}

is_minute(value, most) if {
	is_number(value)
	floor(value) == value
	0 <= value
	value <= most
}
