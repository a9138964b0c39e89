package postgresql

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// The values of auth_type besides none, which is a password or a certificate.
const (
	awsIAM = "aws_iam"
	gcpIAM = "gcp_iam"
)

// tokenLimit bounds how long a cloud may take to hand out what a token is made of.
const tokenLimit = 4 * time.Second

// cloud are the settings of an admin who logs in with a token of a cloud.
type cloud struct {
	AuthType       string `mapstructure:"auth_type"`
	Region         string `mapstructure:"aws_region"`
	AccessKey      string `mapstructure:"aws_access_key_id"`
	SecretKey      string `mapstructure:"aws_secret_access_key"`
	SessionToken   string `mapstructure:"aws_session_token"`
	ServiceAccount string `mapstructure:"service_account_json"`
}

// identity is who the server is in a cloud.
type identity interface {
	// token returns what lets a user in at an endpoint, a host:port, in place of
	// a password. Its errors are explained.
	token(ctx context.Context, endpoint, user string) (string, error)
	// advice says what to check when a token is refused.
	advice() string
}

// check looks whether the settings fit together.
func (c cloud) check(password string) error {
	switch {
	case !slices.Contains([]string{"", awsIAM, gcpIAM}, c.AuthType):
		return fault.New(fault.Refused, "auth_type %q is unknown: use %s, %s or none", c.AuthType, awsIAM, gcpIAM)
	case c.AuthType != "" && password != "":
		return fault.New(fault.Refused, `auth_type %s makes the admin's passwords: write password=""`, c.AuthType)
	case c.AuthType != gcpIAM && c.ServiceAccount != "":
		return fault.New(fault.Refused, "service_account_json is for auth_type %s: write auth_type=%s or leave it out", gcpIAM, gcpIAM)
	case c.AuthType == gcpIAM && c.usesAWS():
		return fault.New(fault.Refused, "aws_region and its like are not for auth_type %s: leave them out", gcpIAM)
	case (c.AccessKey == "") != (c.SecretKey == ""), c.SessionToken != "" && c.AccessKey == "":
		return fault.New(fault.Refused, "aws_access_key_id and aws_secret_access_key belong together: write both, or none for AWS's default chain")
	}
	return nil
}

// usesAWS reports whether the server has an identity at AWS, if only to make
// tokens for the roles it issues.
func (c cloud) usesAWS() bool {
	return c.AuthType == awsIAM || c.Region != "" || c.AccessKey != ""
}

// endpoint returns where the server listens, as tokens name it.
func endpoint(target *pgx.ConnConfig) string {
	return net.JoinHostPort(target.Host, strconv.Itoa(int(target.Port)))
}

// identify takes up the identities that the settings ask for, and has every new
// connection of the pool log in with a new token.
func (d *Database) identify(ctx context.Context, c cloud, config *pgxpool.Config) error {
	if c.usesAWS() {
		found, err := c.aws(ctx)
		if err != nil {
			return err
		}
		d.aws = found
	}
	switch c.AuthType {
	case awsIAM:
		d.identity = d.aws
	case gcpIAM:
		found, err := c.gcp()
		if err != nil {
			return err
		}
		d.identity = found
	default:
		return nil
	}
	config.BeforeConnect = func(ctx context.Context, target *pgx.ConnConfig) (err error) {
		target.Password, err = limited(ctx, d.identity, endpoint(target), target.User)
		return err
	}
	return suitable(config.ConnConfig, c.AuthType)
}

// limited is token within tokenLimit.
func limited(ctx context.Context, who identity, endpoint, user string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenLimit)
	defer cancel()
	return who.token(ctx, endpoint, user)
}

// suitable refuses a connection_url that tokens cannot be used with.
func suitable(target *pgx.ConnConfig, authType string) error {
	if target.Password != "" {
		return fault.New(fault.Refused, "auth_type %s makes the admin's passwords: take the one in connection_url out", authType)
	}
	for _, other := range target.Fallbacks {
		if other.Host != target.Host || other.Port != target.Port {
			return fault.New(fault.Refused, "a token of auth_type %s is for one host: write one host and port in connection_url", authType)
		}
	}
	return nil
}
