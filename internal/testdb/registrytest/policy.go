package registrytest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/credenceproject/credence/internal/registry"
)

// Policy is a small platform policy of the version and of data layout 3. Each
// version has other modules.
func Policy(version int64) registry.PlatformPolicy {
	modules := map[string]string{
		"mcp/authz/decision.rego": fmt.Sprintf("# version %d\npackage mcp.authz\n\ndecision := {\"allowed\": false, \"reasons\": set()}\n", version),
		"system/log/mask.rego":    "package system.log\n\nmask contains \"/input/attributes/request/http/headers/authorization\"\n",
	}
	sum := sha256.Sum256([]byte(modules["mcp/authz/decision.rego"]))
	return registry.PlatformPolicy{Hash: hex.EncodeToString(sum[:]), Version: version, Layout: 3, Modules: modules}
}
