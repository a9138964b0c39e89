package postgresql

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// loginScope lets a token do nothing but log in to Cloud SQL.
const loginScope = "https://www.googleapis.com/auth/sqlservice.login"

// atGCP is an identity whose tokens let it in to Google Cloud SQL.
type atGCP struct {
	source oauth2.TokenSource
	secret string
}

// gcp finds the identity: the service account of the settings, or Google's
// application default credentials.
func (c cloud) gcp() (*atGCP, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// Connections that stay open would outlive the database.
	transport.DisableKeepAlives = true
	// The source keeps the context for as long as it is used.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: transport, Timeout: tokenLimit})
	if c.ServiceAccount == "" {
		found, err := google.FindDefaultCredentials(ctx, loginScope)
		if err != nil {
			return nil, fault.New(fault.Refused, "finding Google's application default credentials: %s: write service_account_json=@key.json", fault.Scrub(err.Error()))
		}
		return &atGCP{source: found.TokenSource}, nil
	}
	// Of a service account alone: other kinds of file name programs to run.
	found, err := google.CredentialsFromJSONWithType(ctx, []byte(c.ServiceAccount), google.ServiceAccount, loginScope)
	if err != nil {
		return nil, fault.New(fault.Refused, "service_account_json is no key of a service account: write service_account_json=@key.json as Google's console made it")
	}
	return &atGCP{found.TokenSource, c.ServiceAccount}, nil
}

// token is good anywhere, for the user that it belongs to.
func (g *atGCP) token(context.Context, string, string) (string, error) {
	token, err := g.source.Token()
	if err != nil {
		return "", fault.New(fault.Later, "asking Google for a token: %s: check service_account_json, and that the server reaches its token_uri", fault.Scrub(err.Error(), g.secret))
	}
	return token.AccessToken, nil
}

func (g *atGCP) advice() string {
	return "check that username is the service account's address without .gserviceaccount.com, that it is an IAM user of the instance, and its role Cloud SQL Instance User"
}
