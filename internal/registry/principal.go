package registry

import "slices"

// Permission is a right that the caller's token carries.
type Permission string

// The permissions of the control plane's own audience.
const (
	AgentsRegister Permission = "agents:register"
	AgentsRead     Permission = "agents:read"
	AgentsWrite    Permission = "agents:write"
	ResourcesRead  Permission = "resources:read"
	ResourcesWrite Permission = "resources:write"
	PoliciesRead   Permission = "policies:read"
	PoliciesWrite  Permission = "policies:write"
	BundlesRead    Permission = "bundles:read"
	Admin          Permission = "admin" // implies all others
)

// PermissionInfo says what a permission allows, for people.
type PermissionInfo struct {
	Name        Permission
	Description string
}

// Permissions lists every permission.
var Permissions = []PermissionInfo{
	{AgentsRegister, "Register agents for one's own teams"},
	{AgentsRead, "Read agents of all teams"},
	{AgentsWrite, "Change and delete agents of one's own teams"},
	{ResourcesRead, "Read resources and their metadata"},
	{ResourcesWrite, "Write resources of one's own teams"},
	{PoliciesRead, "Read policies"},
	{PoliciesWrite, "Write policies of one's own teams"},
	{BundlesRead, "Download the policy bundles of all scopes"},
	{Admin, "Everything, for all teams"},
}

// Principal is an authenticated caller.
type Principal struct {
	Subject     string
	ClientID    string // the OAuth client that the token was issued to; "" when the token does not say
	Permissions []Permission
	Teams       []string
}

// Can reports whether the caller holds p or is an admin.
func (c Principal) Can(p Permission) bool {
	return slices.Contains(c.Permissions, p) || slices.Contains(c.Permissions, Admin)
}

// ActsFor reports whether the caller may write for team: a member, or an admin.
func (c Principal) ActsFor(team string) bool {
	return slices.Contains(c.Teams, team) || c.Can(Admin)
}
