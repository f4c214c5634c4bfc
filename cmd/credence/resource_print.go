package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/credenceproject/credence/api"
)

// printResource writes all that there is to see of a resource, but for the schemas
// of its operations.
func printResource(w io.Writer, r api.Resource) {
	table(w, withValue([][]string{
		{"Name", r.Name},
		{"Type", string(r.Type)},
		{"Team", r.Team},
		{"Description", r.Description},
		{"Data", string(r.DataClassification)},
		{"Permissions", strings.Join(r.RequiredPermissions, ", ")},
		{"Visibility", string(r.Access.Visibility)},
		{"Teams admitted", strings.Join(r.Access.Teams, ", ")},
		{"Types admitted", strings.Join(r.Access.AgentTypes, ", ")},
		{"Labels", labels(r.Labels)},
		{"Revision", strconv.FormatInt(r.Revision, 10)},
		{"Created", moment(r.CreatedAt)},
		{"Updated", moment(r.UpdatedAt)},
	})...)
	if len(r.Deployments) > 0 {
		rows := [][]string{{"ENVIRONMENT", "ENDPOINT"}}
		for _, environment := range environmentsOf(r) {
			rows = append(rows, []string{environment, r.Deployments[environment].Endpoint})
		}
		fmt.Fprintln(w)
		table(w, rows...)
	}
	if len(r.Operations) > 0 {
		rows := [][]string{{"OPERATION", "METHOD", "PATH"}}
		for _, o := range r.Operations {
			rows = append(rows, []string{o.Name, string(o.Method), o.Path})
		}
		fmt.Fprintln(w)
		table(w, rows...)
	}
}

// environmentsOf are the environments that r is deployed in, sorted.
func environmentsOf(r api.Resource) []string { return slices.Sorted(maps.Keys(r.Deployments)) }
