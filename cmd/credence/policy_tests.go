package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/internal/policies/gate"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

func (d *developer) testPolicyCommand() *cobra.Command {
	var dir policyDir
	cmd := &cobra.Command{
		Use:   "test [TIER/ID…]",
		Short: "Check and test custom Rego on this machine",
		Long: `Checks the custom Rego of the policies that are named, or of all in the directory, as
the server would, and runs their tests, without a server: beside the platform policy
of this version of credence.`,
	}
	dir.bind(cmd)
	cmd.RunE = interruptible(func(cmd *cobra.Command, names []string) error {
		files, err := dir.chosen(cmd, names)
		if err != nil {
			return err
		}
		modules := 0
		var faulty []string
		for _, f := range files {
			if f.text("rego") == "" && f.text("tests") == "" {
				continue
			}
			modules++
			var b bytes.Buffer
			ok := dir.test(cmd, f, &b)
			if err := writeAll(d.io.out, b.Bytes()); err != nil {
				return err
			}
			if !ok {
				faulty = append(faulty, f.key.String())
			}
		}
		switch {
		case modules == 0:
			fmt.Fprintln(d.io.err, "None of these policies has custom Rego.")
		case len(faulty) > 0:
			return registry.Invalid.Errorf("invalid_policy", "%d of %d policies would be refused", len(faulty), modules)
		}
		return nil
	})
	return cmd
}

// test writes what the gate says of the policy, and reports whether it is good.
func (p policyDir) test(cmd *cobra.Command, f policyFile, b *bytes.Buffer) bool {
	_, rego, tests := p.files(f.key)
	verdict := gate.Check(cmd.Context(), gate.Request{
		Layer: f.key, Rego: f.text("rego"), Tests: f.text("tests"), Platform: policy.Platform().Modules,
	})
	paths := map[string]string{gate.FileRego: rego, gate.FileTests: tests}
	for _, fault := range verdict.Faults {
		fmt.Fprintf(b, "%s:%d:%d: %s: %s\n", paths[fault.File], fault.Line, fault.Column, fault.Rule, plain(fault.Message))
	}
	passed := 0
	for _, t := range verdict.Tests {
		if t.Passed {
			passed++
		}
	}
	if len(verdict.Faults) > 0 {
		fmt.Fprintf(b, "FAIL %s: %d of %d tests passed\n", f.key, passed, len(verdict.Tests))
		return false
	}
	fmt.Fprintf(b, "ok %s: %d tests passed", f.key, passed)
	if verdict.DeniesEveryone {
		b.WriteString("; it denies every call, so push needs --denies-everyone")
	}
	b.WriteString("\n")
	return true
}
