package agent

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/novatech/securevault/agent/auth"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
)

// newKeeper returns the keeper for the configured method or, without one, for
// the token of the environment.
func newKeeper(autoAuth *config.AutoAuth, client *vault.Client, opts Options, journal auth.Journal, after uint64) (*auth.Keeper, error) {
	method, server, err := newLogin(autoAuth, client, opts.Getenv)
	if err != nil {
		return nil, err
	}
	cfg := auth.Config{Method: method, Server: server, Log: opts.Log, Journal: journal, After: after}
	if autoAuth != nil {
		m := autoAuth.Method
		cfg.ExitOnErr, cfg.Reauth = m.ExitOnErr, autoAuth.Reauth
		cfg.Policy = schedule.Policy{Floor: time.Duration(m.MinBackoff), Ceiling: time.Duration(m.MaxBackoff)}
	}
	return auth.New(cfg), nil
}

// newLogin returns how to get a token, and the client to get it with.
func newLogin(autoAuth *config.AutoAuth, client *vault.Client, getenv func(string) string) (auth.Method, *vault.Client, error) {
	if autoAuth == nil {
		token := cmp.Or(getenv("SECUREVAULT_TOKEN"), getenv("VAULT_TOKEN"))
		if token == "" {
			return nil, nil, failure{ExitAuth, errors.New("there is no auto_auth stanza and VAULT_TOKEN is not set; add one or set the other")}
		}
		return auth.NewToken(vault.Sensitive(token)), client, nil
	}
	m := autoAuth.Method
	method := newMethod(m, getenv)
	if method == nil {
		return nil, nil, failure{ExitConfig, fmt.Errorf("%s: the method %q is not supported", m.At, m.Type)}
	}
	server, err := methodClient(m, client)
	if err != nil {
		return nil, nil, failure{ExitConfig, fmt.Errorf("%s: %w", m.At, err)}
	}
	return method, server, nil
}

// methodClient returns the client for logins and for what becomes of their
// token: in the namespace of the method, with its certificate.
func methodClient(m config.Method, client *vault.Client) (_ *vault.Client, err error) {
	if c := m.Cert; c != nil && (c.CACert != "" || c.ClientCert != "" || c.ClientKey != "") {
		client, err = client.WithCertificate(vault.Certificate{CACert: c.CACert, Cert: c.ClientCert, Key: c.ClientKey, Reload: c.Reload})
		if err != nil {
			return nil, err
		}
	}
	if m.Namespace != "" {
		client = client.WithNamespace(m.Namespace)
	}
	if m.WrapTTL > 0 {
		client = client.WithWrapping(time.Duration(m.WrapTTL))
	}
	return client, nil
}

// newMethod returns how to log in, nil for a way that is not known.
func newMethod(m config.Method, getenv func(string) string) auth.Method {
	mount := m.MountPath
	if mount == "" {
		mount = "auth/" + m.Type
	}
	switch {
	case m.AppRole != nil:
		return auth.NewAppRole(auth.AppRoleConfig{
			Mount: mount, RoleIDPath: m.AppRole.RoleIDFilePath, SecretIDPath: m.AppRole.SecretIDFilePath,
			Remove: m.AppRole.RemoveSecretID, WrappingPath: m.AppRole.WrappingPath,
		})
	case m.TokenFile != nil:
		return auth.NewTokenFile(m.TokenFile.Path)
	case m.Kubernetes != nil:
		return auth.NewKubernetes(mount, m.Kubernetes.Role, m.Kubernetes.TokenPath)
	case m.JWT != nil:
		return auth.NewJWT(auth.JWTConfig{
			Mount: mount, Role: m.JWT.Role, Path: m.JWT.Path, Remove: m.JWT.Remove,
			FollowLinks: m.JWT.FollowSymlinks, Period: time.Duration(m.JWT.ReadPeriod),
		})
	case m.Cert != nil:
		return newCertificate(mount, *m.Cert)
	case m.UserPass != nil:
		return newPassword(mount, *m.UserPass)
	case m.LDAP != nil:
		return newPassword(mount, *m.LDAP)
	case m.AWS != nil:
		return newAWS(mount, *m.AWS, getenv)
	case m.Azure != nil:
		return auth.NewAzure(auth.AzureConfig{
			Mount: mount, Role: m.Azure.Role, Resource: m.Azure.Resource, ObjectID: m.Azure.ObjectID, ClientID: m.Azure.ClientID,
			FromEnvironment: m.Azure.FromEnvironment, Scope: m.Azure.Scope, Getenv: getenv,
		})
	case m.GCP != nil:
		return auth.NewGCP(auth.GCPConfig{
			Mount: mount, Type: m.GCP.Type, Role: m.GCP.Role, ServiceAccount: m.GCP.ServiceAccount,
			Credentials: vault.Sensitive(m.GCP.Credentials), Validity: time.Duration(m.GCP.JWTMinutes) * time.Minute, Getenv: getenv,
		})
	default:
		return nil
	}
}

func newCertificate(mount string, c config.Cert) auth.Method {
	var watched []string
	if c.Reload && c.ClientCert != "" {
		watched = []string{c.ClientCert, c.ClientKey}
	}
	return auth.NewCertificate(mount, c.Name, watched, time.Duration(c.ReloadPeriod))
}

func newPassword(mount string, p config.Password) auth.Method {
	return auth.NewPassword(auth.PasswordConfig{
		Mount: mount, Username: p.Username, Path: p.FilePath, Remove: p.Remove, Period: time.Duration(p.ReadPeriod),
	})
}

func newAWS(mount string, a config.AWS, getenv func(string) string) auth.Method {
	return auth.NewAWS(auth.AWSConfig{
		Mount: mount, Type: a.Type, Role: a.Role, Region: a.Region, HeaderValue: a.HeaderValue, Nonce: vault.Sensitive(a.Nonce),
		AccessKey: a.AccessKey, SecretKey: vault.Sensitive(a.SecretKey), SessionToken: vault.Sensitive(a.SessionToken),
		Getenv: getenv, Period: time.Duration(a.PollInterval),
	})
}
