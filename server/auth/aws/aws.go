// Package aws is the auth method for principals of AWS: the client signs a
// question to AWS's security token service, "who am I?", but does not send it.
// The server sends it, and believes the answer.
//
// arn.go reads names of principals, roles.go says who gets what, client.go
// which service is asked, naming.go what a client is called, question.go
// checks what the client has signed and asks, login.go puts them together. Only
// the type iam is there, which also serves EC2 instances with a profile, Lambda,
// ECS and EKS.
package aws

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
)

// askTimeout bounds one question to the security token service.
const askTimeout = 20 * time.Second

type backend struct {
	*framework.Backend
	client *record.Family[client, *client]
	naming *record.Family[naming, *naming]
	roles  *record.Family[role, *role]
	http   *http.Client
}

// Factory makes the method for one mount.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b := &backend{client: newClient(), naming: newNaming(), roles: newRoles(), http: &http.Client{
		Timeout: askTimeout,
		// An answer from elsewhere would be worth nothing.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	b.Backend = &framework.Backend{
		Help:         "Logs in principals of AWS.",
		BackendType:  logical.TypeCredential,
		PathsSpecial: &logical.Paths{Unauthenticated: []string{"login"}},
		Paths:        slices.Concat(b.client.Paths(), b.naming.Paths(), b.roles.Paths(), b.loginPaths()),
		AuthRenew:    b.renew,
	}
	return b, b.Setup(ctx, conf)
}
