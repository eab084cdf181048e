package transport

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// origins are the pages whose scripts may connect; none means all.
type origins []originPattern

// originPattern is one of Options.Origins, in lower case.
type originPattern struct {
	scheme string // "" is any
	host   string // behind *. if below is set
	port   string // "" is any if scheme is "", else the usual one
	below  bool   // only hosts below host, at any depth
}

// parseOrigins reads patterns, see Options.Origins.
func parseOrigins(patterns []string) (all origins, err error) {
	for _, text := range patterns {
		p, ok := parseOrigin(strings.ToLower(text))
		if p.host, p.below = strings.CutPrefix(p.host, "*."); !ok || p.host == "" || strings.Contains(p.host, "*") {
			return nil, fmt.Errorf("origin %q: write https://app.example.org, app.example.org or *.example.org", text)
		}
		all = append(all, p)
	}
	return all, nil
}

// parseOrigin splits an origin, whose scheme may be missing.
func parseOrigin(text string) (p originPattern, ok bool) {
	if !strings.Contains(text, "://") {
		text = "//" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return p, false
	}
	p = originPattern{scheme: u.Scheme, host: u.Hostname(), port: u.Port()}
	if p.scheme == "https" && p.port == "443" || p.scheme == "http" && p.port == "80" {
		p.port = "" // browsers leave the usual one out
	}
	return p, true
}

// allow tells whether a page of origin may connect. Clients that are no browsers send none, and could send any.
func (all origins) allow(origin string) bool {
	if origin == "" || len(all) == 0 {
		return true
	}
	o, ok := parseOrigin(strings.ToLower(origin))
	return ok && slices.ContainsFunc(all, func(p originPattern) bool { return p.matches(o) })
}

func (p originPattern) matches(o originPattern) bool {
	if p.scheme != "" && p.scheme != o.scheme || (p.scheme != "" || p.port != "") && p.port != o.port {
		return false
	}
	if p.below {
		return strings.HasSuffix(o.host, "."+p.host)
	}
	return o.host == p.host
}
