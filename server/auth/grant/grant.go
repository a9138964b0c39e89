// Package grant is what the auth methods share about logins: the answer to one
// that succeeded (Login), to one that failed (Refuse), and the renewal of its
// token (Renew).
//
// The lifetime, policies and limits of the token come from the token
// parameters of a role, which every method knows under the same names.
package grant

import (
	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/helper/policyutil"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
)

// Login answers a login with the token that role allows. From an address that
// the token could not be used from it answers with the refusal, which is the
// method's for a wrong proof: who guesses from there must not learn that a guess
// was right.
func Login(req *logical.Request, role *tokenutil.TokenParams, auth *logical.Auth, refusal string) (*logical.Response, error) {
	if !cidrutil.RemoteAddrIsOk(endpoint.RemoteAddr(req), role.TokenBoundCIDRs) {
		return Refuse(refusal)
	}
	role.PopulateTokenAuth(auth)
	return &logical.Response{Auth: auth}, nil
}

// Renew prolongs a token after what its role says now. Should the role grant
// other policies meanwhile, the client has to log in again.
func Renew(req *logical.Request, role *tokenutil.TokenParams) (*logical.Response, error) {
	if !policyutil.EquivalentPolicies(role.TokenPolicies, req.Auth.Policies) {
		return logical.ErrorResponse("the policies have changed since the login: log in again"), nil
	}
	auth := *req.Auth
	auth.TTL, auth.MaxTTL, auth.Period = role.TokenTTL, role.TokenMaxTTL, role.TokenPeriod
	return &logical.Response{Auth: &auth}, nil
}

// Refuse answers a login whose proof is wrong. The core counts it against who
// tried; message must not tell which part of the proof it was.
func Refuse(message string) (*logical.Response, error) {
	return logical.ErrorResponse(message), logical.ErrInvalidCredentials
}

// Name answers the core's question whose login a request is.
func Name(name string) (*logical.Response, error) {
	return &logical.Response{Auth: &logical.Auth{Alias: &logical.Alias{Name: name}}}, nil
}
