package httpapi

import (
	"context"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// Until their helpers have written them: each removes its own line.

var errPending = registry.Unavailable.Errorf("pending", "not there yet")

func (s *Server) DeletePolicy(context.Context, api.DeletePolicyRequestObject) (api.DeletePolicyResponseObject, error) { return nil, errPending }

func (s *Server) Explain(context.Context, api.ExplainRequestObject) (api.ExplainResponseObject, error) { return nil, errPending }

func (s *Server) GetBundlePart(context.Context, api.GetBundlePartRequestObject) (api.GetBundlePartResponseObject, error) { return nil, errPending }

func (s *Server) GetChanges(context.Context, api.GetChangesRequestObject) (api.GetChangesResponseObject, error) { return nil, errPending }

func (s *Server) GetDiscovery(context.Context, api.GetDiscoveryRequestObject) (api.GetDiscoveryResponseObject, error) { return nil, errPending }

func (s *Server) GetDiscoveryOfParts(context.Context, api.GetDiscoveryOfPartsRequestObject) (api.GetDiscoveryOfPartsResponseObject, error) { return nil, errPending }

func (s *Server) GetPolicy(context.Context, api.GetPolicyRequestObject) (api.GetPolicyResponseObject, error) { return nil, errPending }

func (s *Server) GetPolicyVersion(context.Context, api.GetPolicyVersionRequestObject) (api.GetPolicyVersionResponseObject, error) { return nil, errPending }

func (s *Server) GetSnapshot(context.Context, api.GetSnapshotRequestObject) (api.GetSnapshotResponseObject, error) { return nil, errPending }

func (s *Server) ListPolicies(context.Context, api.ListPoliciesRequestObject) (api.ListPoliciesResponseObject, error) { return nil, errPending }

func (s *Server) ListPolicyVersions(context.Context, api.ListPolicyVersionsRequestObject) (api.ListPolicyVersionsResponseObject, error) { return nil, errPending }

func (s *Server) PutPolicy(context.Context, api.PutPolicyRequestObject) (api.PutPolicyResponseObject, error) { return nil, errPending }

func (s *Server) RollbackPolicy(context.Context, api.RollbackPolicyRequestObject) (api.RollbackPolicyResponseObject, error) { return nil, errPending }

func (s *Server) ValidatePolicy(context.Context, api.ValidatePolicyRequestObject) (api.ValidatePolicyResponseObject, error) { return nil, errPending }
