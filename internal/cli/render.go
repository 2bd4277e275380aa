package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"
)

// previewOptions say whose message of a campaign is meant, and as whom it is read.
type previewOptions struct {
	as, variant, locale string
	sample              bool
}

func (o *previewOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.as, "as", "", "the public id of the contact whose values it shows")
	flags.BoolVar(&o.sample, "sample", false, "show typical values, of nobody")
	flags.StringVar(&o.variant, "variant", "", "the variant's name (default: the first)")
	flags.StringVar(&o.locale, "locale", "", "the language, such as es-MX (default: the contact's, else the template's default)")
	cmd.MarkFlagsMutuallyExclusive("as", "sample")
}

// previewChoice is what the API is told of it.
type previewChoice struct {
	Contact string `json:"contact,omitempty"`
	Variant string `json:"variant,omitempty"`
	Locale  string `json:"locale,omitempty"`
}

func (o *previewOptions) choice() previewChoice {
	return previewChoice{Contact: o.as, Variant: o.variant, Locale: o.locale}
}

// renderedMessage is a message as the API gives it.
type renderedMessage struct {
	Variant string `json:"variant"`
	Locale  string `json:"locale"`
	Subject string `json:"subject"`
	HTML    string `json:"html,omitempty"`
	Text    string `json:"text"`
	Message []byte `json:"message"`
}

// renderOptions are what `tertulia render` is told.
type renderOptions struct {
	accessOptions
	previewOptions
	file, output string
	open         bool
}

// NewRenderCommand is `tertulia render`: a campaign's message as somebody would get it.
func NewRenderCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use: "render CAMPAIGN {--as CONTACT_ID | --sample}", GroupID: "use", Short: "Write a campaign's message to a file, as a contact would get it",
		Long: "Writes the whole message as an .eml file, which mail programs open. It is made by the tenant's server, from what is in force\n" +
			"there, and needs a token with the scope previews:read. Nothing in it is tracked, and its link for unsubscribing unsubscribes nobody.",
		Example: "  tertulia render spring-2027 --sample --open\n  tertulia render spring-2027 --as 6f2c9c1e-5d0a-4a53-9f5e-0d2b8f7a1c11 --file -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			if o.as == "" && !o.sample {
				return errors.New("say as whom: --as with a contact's public id, or --sample")
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), args[0])
		},
	}
	o.accessOptions.addFlags(cmd)
	o.previewOptions.addFlags(cmd)
	addOutput(cmd, &o.output)
	cmd.Flags().StringVarP(&o.file, "file", "f", "", `where to write the message; "-" for the standard output (default: CAMPAIGN.eml)`)
	cmd.Flags().BoolVar(&o.open, "open", false, "show the HTML in a browser too")
	return cmd
}

func (o *renderOptions) run(ctx context.Context, out io.Writer, campaign string) error {
	client, err := o.client(ctx)
	if err != nil {
		return err
	}
	var message renderedMessage
	if err := client.call(ctx, http.MethodPost, campaignPath(campaign, "preview"), o.choice(), &message); err != nil {
		return fmt.Errorf("render campaign %q: %w", campaign, err)
	}
	if o.open {
		if err := showHTML(message); err != nil {
			return err
		}
	}
	switch {
	case o.output == outputJSON:
		return printJSON(out, message)
	case o.file == "-":
		_, err = out.Write(message.Message)
		return err
	}
	file := o.file
	if file == "" {
		file = campaign + ".eml"
	}
	// It may hold what is known of a person: others on this machine need not read it.
	if err := os.WriteFile(file, message.Message, 0o600); err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	fmt.Fprintf(out, "%s: variant %s, locale %s, %d bytes\n%s\n", file, message.Variant, message.Locale, len(message.Message), message.Subject)
	return nil
}

func campaignPath(campaign, verb string) string {
	return "/v1/campaigns/" + url.PathEscape(campaign) + "/" + verb
}

// showHTML opens the HTML in the browser of this machine. The file stays: the browser reads it after we are gone.
func showHTML(message renderedMessage) error {
	if message.HTML == "" {
		return errors.New("the message has no HTML to show")
	}
	file, err := os.CreateTemp("", "tertulia-*.html")
	if err != nil {
		return fmt.Errorf("write the HTML: %w", err)
	}
	_, err = file.WriteString(message.HTML)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write the HTML: %w", err)
	}
	name, arguments := browserCommand(runtime.GOOS, file.Name())
	if err := exec.Command(name, arguments...).Start(); err != nil { //nolint:gosec,noctx // a program of this machine, which outlives us
		return fmt.Errorf("open a browser: %w: look at %s", err, file.Name())
	}
	return nil
}

// browserCommand is how a system opens a file in its browser.
func browserCommand(system, file string) (name string, arguments []string) {
	switch system {
	case "darwin":
		return "open", []string{file}
	case "windows":
		return "rundll32", []string{"url.dll,FileProtocolHandler", file}
	}
	return "xdg-open", []string{file}
}
