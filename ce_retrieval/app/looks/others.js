// Takes many photos that are chosen or dropped, sends them to the server, and shows those that it has (`props.tiles`).
function tell(what) {
  props.value = JSON.stringify({ ...what, at: Date.now() });
  trigger("upload");
}

async function given(files) {
  const sent = [];
  let fault = "";
  for (const [number, file] of files.entries()) {
    if (file.size > most) {
      fault = `“${file.name}” is larger than ${Math.round(most / 1e6)} MB: make it smaller.`;
      continue;
    }
    say(`Sending ${number + 1} of ${files.length}…`);
    try {
      const { path } = await upload(file);
      sent.push({ path, name: file.name });
    } catch (error) {
      fault = `“${file.name}” could not be sent. Try again.`;
    }
  }
  say(fault, Boolean(fault));
  if (sent.length) tell({ add: sent });
}

function tileOf({ url, name, id }) {
  const tile = document.createElement("li");
  const picture = Object.assign(new Image(), { src: url, alt: name, title: name });
  const off = Object.assign(document.createElement("button"), { type: "button", textContent: "×", title: `Remove ${name}` });
  off.setAttribute("aria-label", `Remove ${name}`);
  off.addEventListener("click", () => tell({ remove: id }));
  tile.append(picture, off);
  return tile;
}

function show() {
  element.querySelector(".tiles")?.replaceChildren(...(props.tiles ?? []).map(tileOf));
}

watch("tiles", show);
show();
