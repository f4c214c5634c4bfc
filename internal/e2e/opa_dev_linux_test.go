package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// devOPA is what dev.json says of OPA and its bundle.
type devOPA struct {
	OPA      string `json:"opa"`
	OPAToken string `json:"opa_token"`
	Bundles  []string
}

// checkDevOPA holds a running dev system's OPA to CONTRACT: it runs below the dev
// system, decides, and its token opens the bundle and nothing else.
func checkDevOPA(t testing.TB, dir string, pid int) {
	t.Helper()
	d, _ := readDev(dir)
	var of devOPA
	if err := json.Unmarshal(must(os.ReadFile(filepath.Join(dir, ".credence", "dev.json")))(t), &of); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{d.API + "/bundles/production"}, of.Bundles); diff != "" {
		t.Fatalf("bundles (-want +got):\n%s", diff)
	}
	for url, want := range map[string]int{of.Bundles[0]: 200, d.API + "/bundles/staging": 403, d.API + "/resources": 403, d.API + "/agents": 403} {
		r := must(http.NewRequestWithContext(t.Context(), "GET", url, nil))(t)
		r.Header.Set("Authorization", "Bearer "+of.OPAToken)
		if got := send(t, client, r); got.status != want {
			t.Errorf("OPA's token at %s: %d, want %d", url, got.status, want)
		}
	}
	question := must(http.NewRequestWithContext(t.Context(), "POST", of.OPA+"/v1/data/mcp/authz/decision", bytes.NewReader([]byte(`{"input": {}}`))))(t)
	var answer struct {
		Result struct{ Reasons []struct{ Code string } }
	}
	if err := json.Unmarshal(send(t, client, question).want(t, 200).body, &answer); err != nil || len(answer.Result.Reasons) != 1 || answer.Result.Reasons[0].Code != "no_verified_token" {
		t.Errorf("OPA says %+v, %v", answer, err)
	}
	runs := 0
	for _, below := range descendants(t, pid) {
		if line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(below), "cmdline")); err == nil && bytes.Contains(line, []byte("opa\x00run\x00")) {
			runs++
		}
	}
	if runs == 0 {
		t.Error("no OPA runs below the dev system")
	}
	for _, file := range []string{"credence.log", "opa/opa.log"} {
		if bytes.Contains(must(os.ReadFile(filepath.Join(dir, ".credence", file)))(t), []byte(of.OPAToken)) {
			t.Errorf("OPA's token is in %s", file)
		}
	}
}
