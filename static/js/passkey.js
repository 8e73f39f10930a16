/* A decision signed with a passkey: the server says what is to be signed, the authenticator signs it, the form is sent with the answer. */
(() => {
  const form = document.querySelector('form[data-passkey]'), said = form?.querySelector('[data-passkey-said]');
  if (!form) return;
  const bytes = text => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
  const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const say = words => { said.querySelector('span').textContent = words; said.hidden = !words; };

  const signed = async () => {
    const data = new FormData(form);
    for (const name of ['password', 'code', 'identity', 'passkey']) data.delete(name);
    const answer = await fetch(form.dataset.passkey, {method: 'POST', body: data, headers: {Accept: 'application/json'}, redirect: 'error'});
    const options = await answer.json();
    if (!answer.ok) throw new Error(options.message);
    const publicKey = {...options, challenge: bytes(options.challenge), allowCredentials: (options.allowCredentials ?? []).map(it => ({...it, id: bytes(it.id)}))};
    if (!publicKey.allowCredentials.length) throw new Error('You have no passkey yet: add one to your account first.');
    const {id, rawId, type, response: its} = await navigator.credentials.get({publicKey});
    return {
      id, rawId: text(rawId), type, clientExtensionResults: {},
      response: {clientDataJSON: text(its.clientDataJSON), authenticatorData: text(its.authenticatorData), signature: text(its.signature)},
    };
  };

  form.addEventListener('submit', async e => {
    const button = e.submitter;
    if (!button?.matches('[data-passkey-use]')) return;
    e.preventDefault();
    e.stopPropagation();
    say('');
    button.setAttribute('aria-busy', 'true');
    try {
      if (!window.PublicKeyCredential) throw new Error('This browser, or this address, knows no passkeys.');
      form.elements.passkey.value = JSON.stringify(await signed());
      form.submit();
    } catch (problem) {
      button.removeAttribute('aria-busy');
      const refused = {NotAllowedError: 'Nothing was signed: you stopped it, or it took too long.', SecurityError: 'Passkeys do not work at this address.'};
      say(refused[problem.name] ?? problem.message ?? 'That did not work. Nothing was decided.');
    }
  });
})();
