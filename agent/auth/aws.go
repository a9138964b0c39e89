package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

const (
	stsVersion = "2011-06-15"
	stsBody    = "Action=GetCallerIdentity&Version=" + stsVersion
)

// AWSConfig says how to prove an identity of AWS.
type AWSConfig struct {
	Mount string // "auth/aws"
	Type  string // "iam" or "ec2"
	Role  string
	// Region is the one whose STS the server asks; "" and "us-east-1" stand
	// for the global endpoint.
	Region       string
	HeaderValue  string          // of X-Vault-AWS-IAM-Server-ID; "" for none
	Nonce        vault.Sensitive // of ec2; made up when empty
	AccessKey    string          // with SecretKey, "" to look for credentials as the tools of AWS do
	SecretKey    vault.Sensitive
	SessionToken vault.Sensitive
	Getenv       func(name string) string
	// Period is how long to wait between two looks at the files that
	// credentials come from; 0 leaves it to the keeper.
	Period time.Duration
}

// AWS logs in as an IAM principal, by a signed request that the server sends
// on to AWS, or as an EC2 instance, by its signed identity document. Make one
// with [NewAWS].
type AWS struct {
	mount
	cfg     AWSConfig
	sources awsSources
	nonce   vault.Sensitive // "" until the first login of an instance
}

// NewAWS returns the method.
func NewAWS(cfg AWSConfig) *AWS {
	near := newMetadata()
	region := cfg.Region
	if region == "" || region == "us-east-1" {
		region = cfg.Getenv("AWS_REGION") // the agent's own requests best stay near
	}
	return &AWS{
		mount: newMount(cfg.Mount),
		cfg:   cfg,
		sources: awsSources{
			configured: awsCredentials{cfg.AccessKey, cfg.SecretKey, cfg.SessionToken},
			getenv:     cfg.Getenv,
			metadata:   instanceMetadata{near},
			near:       near,
			sts:        newIssuer(),
			stsAddress: "https://" + stsHost(region),
		},
		nonce: cfg.Nonce,
	}
}

// Watched implements [Watcher]: the files that name an identity from outside.
func (a *AWS) Watched() (paths []string, every time.Duration) {
	if a.cfg.Type == "ec2" || a.cfg.AccessKey != "" {
		return nil, 0
	}
	if path := a.cfg.Getenv("AWS_SHARED_CREDENTIALS_FILE"); path != "" {
		paths = append(paths, path)
	}
	return paths, a.cfg.Period
}

// Login implements [Method].
func (a *AWS) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	prove := a.principal
	if a.cfg.Type == "ec2" {
		prove = a.instance
	}
	body, err := prove(ctx)
	if err != nil {
		return nil, err
	}
	if a.cfg.Role != "" {
		body["role"] = a.cfg.Role
	}
	return server.Login(ctx, a.login(), body)
}

// principal returns a signed request for the caller's identity, for the
// server to send.
func (a *AWS) principal(ctx context.Context) (map[string]any, error) {
	credentials, err := a.sources.find(ctx)
	if err != nil {
		return nil, err
	}
	region := a.cfg.Region
	if region == "" {
		region = "us-east-1"
	}
	host := stsHost(region)
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}
	if a.cfg.HeaderValue != "" {
		header.Set("X-Vault-AWS-IAM-Server-ID", a.cfg.HeaderValue)
	}
	sigV4{region, "sts", credentials}.sign(header, host, stsBody, time.Now())
	headers, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("encoding the request for the caller's identity: %w", err)
	}
	return map[string]any{
		"iam_http_request_method": http.MethodPost,
		"iam_request_url":         base64.StdEncoding.EncodeToString([]byte("https://" + host + "/")),
		"iam_request_body":        base64.StdEncoding.EncodeToString([]byte(stsBody)),
		"iam_request_headers":     base64.StdEncoding.EncodeToString(headers),
	}, nil
}

// stsHost returns where a region's security token service is.
func stsHost(region string) string {
	switch {
	case region == "" || region == "us-east-1":
		return "sts.amazonaws.com"
	case strings.HasPrefix(region, "cn-"):
		return "sts." + region + ".amazonaws.com.cn"
	default:
		return "sts." + region + ".amazonaws.com"
	}
}

// instance returns the identity document that AWS has signed. The server
// takes it a second time only together with the same nonce.
func (a *AWS) instance(ctx context.Context) (map[string]any, error) {
	document, err := a.sources.metadata.read(ctx, "/latest/dynamic/instance-identity/rsa2048")
	if err != nil {
		return nil, fmt.Errorf("getting the instance's identity: %w; run on an EC2 instance (in a container: with a hop limit of 2), "+
			"or log in with type = \"iam\"", err)
	}
	if a.nonce == "" {
		a.nonce = vault.Sensitive(rand.Text())
	}
	return map[string]any{"pkcs7": strings.ReplaceAll(strings.TrimSpace(document), "\n", ""), "nonce": a.nonce.Reveal()}, nil
}
