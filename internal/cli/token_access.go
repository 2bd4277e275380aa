package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// adminSecret is where the operator keeps a tenant's admin token: who may read it is the tenant's admin.
const adminSecret = "tertulia-admin"

// accessOptions are the flags by which the verbs that speak HTTP find a tenant's server.
type accessOptions struct {
	clusterOptions
	server, token string
}

func (o *accessOptions) addFlags(cmd *cobra.Command) {
	o.clusterOptions.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.server, "server", "", "the tenant's URL (default: $TERTULIA_SERVER, else from the Secret "+adminSecret+")")
	flags.StringVar(&o.token, "token", "", "a bearer token (default: $TERTULIA_TOKEN, which other users of the machine cannot see, else from the Secret)")
}

// tenantClient speaks to one tenant's server.
type tenantClient struct {
	base  string
	token string
	admin bool // the token is the one of the Secret, which is nobody's own
	http  *http.Client
}

// client finds the tenant's server and token: from the flags, else from the tenant's namespace.
func (o *accessOptions) client(ctx context.Context) (*tenantClient, error) {
	c := &tenantClient{base: o.server, token: o.token, http: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
	}}}
	if c.base == "" {
		c.base = os.Getenv("TERTULIA_SERVER")
	}
	if c.token == "" {
		c.token = os.Getenv("TERTULIA_TOKEN")
	}
	if c.base == "" || c.token == "" {
		if err := o.readSecret(ctx, c); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(c.base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the server's URL %q must look like https://crm.velo.example", c.base)
	}
	c.base = strings.TrimSuffix(c.base, "/")
	return c, nil
}

func (o *accessOptions) readSecret(ctx context.Context, c *tenantClient) error {
	config, namespace, err := o.load()
	if err != nil {
		return fmt.Errorf("%w; or give --server and --token", err)
	}
	cluster, err := corev1client.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	secret, err := cluster.Secrets(namespace).Get(ctx, adminSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("namespace %q has no Secret %q: is there a CRMTenant in it, and is it Ready? (kubectl get crmtenants -n %s)",
			namespace, adminSecret, namespace)
	}
	if err != nil {
		return fmt.Errorf("read Secret %s/%s: %w", namespace, adminSecret, err)
	}
	if c.base == "" {
		c.base = string(secret.Data["server"])
	}
	if c.token == "" {
		c.token, c.admin = string(secret.Data["token"]), true
	}
	if c.base == "" || c.token == "" {
		return fmt.Errorf("Secret %s/%s lacks its key \"server\" or \"token\"", namespace, adminSecret) //nolint:revive,staticcheck // Secret is a kind's name
	}
	return nil
}

// serverError is a problem (RFC 9457) that the server answered with.
type serverError struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
	collisionInfo
}

// collisionInfo is what a problem tells besides where something about a conversation cannot be done as things stand.
type collisionInfo struct {
	Reason  string        `json:"reason"`
	Holder  string        `json:"holder"`
	Until   *time.Time    `json:"until"`
	Version int64         `json:"version"`
	New     []talkMessage `json:"new"`
}

// Error implements error.
func (e *serverError) Error() string {
	text := e.Detail
	if text == "" {
		text = fmt.Sprintf("the server answered with status %d", e.Status)
	}
	for _, item := range e.Errors {
		text += "\n  " + strings.TrimSpace(item.Location+" "+item.Message)
	}
	return text
}

// temporary tells whether the same request may succeed later.
func temporary(err error) bool {
	var problem *serverError
	if errors.As(err, &problem) {
		return problem.Status == http.StatusServiceUnavailable || problem.Status == http.StatusTooManyRequests || problem.Status == http.StatusBadGateway
	}
	var transport *url.Error
	return errors.As(err, &transport) && !errors.Is(err, context.Canceled)
}

const (
	maxAnswer   = 16 << 20
	callTimeout = time.Minute
)

// call sends a JSON request and reads the JSON answer into out, which may be nil.
func (c *tenantClient) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	answer, err := c.send(ctx, method, path, "application/json", body)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// send sends a request and returns the answer, or a *serverError for one that is none of success.
func (c *tenantClient) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("prepare the request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	return c.do(request)
}

// do asks with the token, and makes an error of an answer that is none of success.
func (c *tenantClient) do(request *http.Request) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	problem := &serverError{}
	if json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(problem) != nil {
		problem = &serverError{}
	}
	problem.Status = answer.StatusCode
	return nil, problem
}
