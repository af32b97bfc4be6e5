"""The vendor sandbox: every upstream the relay talks to, served from this machine with its state.

``create_app`` builds the ASGI application, ``SandboxServer`` runs it on 127.0.0.1, and a module of this
package that defines ``VENDOR`` adds a vendor. docs/sandbox.md describes the control endpoints.
"""
